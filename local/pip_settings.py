"""pip's configuration as environment variables of uv, which does not read it."""

import re
from ast import literal_eval

# In the order in which pip takes them: the last one wins.
SECTIONS = ("global", "install", ":env:")


def for_uv(listed: str) -> dict[str, str]:
    """Return the variables that make uv use the index, certificates and proxy of pip.

    Args:
        listed: What `pip config list` prints: `section.key='value'` lines.
    """
    found = {
        (section, key): str(literal_eval(value))
        for section, key, value in re.findall(r"^([\w:]+)\.([\w-]+)=('.*'|\".*\")$", listed, re.MULTILINE)
    }
    pip = {key: value for section in SECTIONS for (of, key), value in found.items() if of == section}
    # pip trusts what the system trusts.
    uv = {"UV_SYSTEM_CERTS": "1"}
    if "index-url" in pip:
        uv["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "extra-index-url" in pip:
        # pip takes a package from whichever index has the version; the hashes say which files may be.
        uv |= {"UV_INDEX": _words(pip["extra-index-url"]), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    if "find-links" in pip:
        uv["UV_FIND_LINKS"] = _words(pip["find-links"]).replace(" ", ",")
    if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        uv["UV_NO_INDEX"] = "1"
    if "trusted-host" in pip:
        uv["UV_INSECURE_HOST"] = _words(pip["trusted-host"])
    if "cert" in pip:
        uv["SSL_CERT_FILE"] = pip["cert"]
    if "proxy" in pip:
        uv |= {"HTTPS_PROXY": pip["proxy"], "HTTP_PROXY": pip["proxy"]}
    return uv


def _words(text: str) -> str:
    """Return a value of several lines, as files of pip's configuration have it, on one."""
    return " ".join(text.split())
