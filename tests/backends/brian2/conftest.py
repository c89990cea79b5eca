import pytest


@pytest.fixture(autouse=True)
def programs(request, monkeypatch):
    """Keep what is compiled beside pytest's own cache: the next run of the tests finds it again."""
    folder = request.config.cache.mkdir("brian2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder
