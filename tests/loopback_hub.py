"""A Hugging Face Hub on 127.0.0.1, in memory, for tests of code that pulls from and pushes to the Hub.

    def test_a_push_survives_a_dropped_connection(hub):  # the fixture of conftest.py
        hub.add_repo("openai-community/gpt2", folder, revision="607a30d783dfa663caf39e06633721c8d4cfcd7e")
        hub.fail("PUT", "/lfs/", "drop")
        subprocess.run([sys.executable, "recipe.py", "--push_to_hub", ...], env=hub.env, check=True)
        assert hub.files("me/x")["model.safetensors"] == weights

It speaks what huggingface_hub, datasets and transformers speak: identity, repositories, trees, downloads with ranges,
pre-upload, LFS and commits, with the Hub's error codes. Xet is left out: clients are told so by HF_HUB_DISABLE_XET.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs

import yaml
from hub_faults import Answer, FaultyServer, HubError, Request, ok, route


USER = "me"
ORGANISATIONS = {"acme": "write", "library": "read"}
WRITE, READ, FINE_GRAINED, EXPIRED = (f"hf_loopback_{kind}_token" for kind in ("write", "read", "fine", "expired"))
ROLES = {WRITE: "write", READ: "read", FINE_GRAINED: "fineGrained"}  # the last may write under USER alone
LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".gz", ".png", ".model")
DATE = "2024-01-01T00:00:00.000Z"
Files = dict[str, bytes]


@dataclass
class Repo:
    """Every commit holds the whole tree: commit hash -> path -> content, oldest first."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, files: Files, revision: str | None = None) -> str:
        parent = next(reversed(self.commits), "")
        tree = "".join(f"{path}\0{blob_id(content)}\0" for path, content in sorted(files.items()))
        commit_id = revision or sha1(f"{parent}\0{len(self.commits)}\0{tree}".encode()).hexdigest()
        self.commits[commit_id] = files
        return commit_id

    def at(self, revision: str) -> tuple[str, Files]:
        commit_id = next(reversed(self.commits)) if revision == "main" else revision
        if commit_id not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit_id, self.commits[commit_id]


def blob_id(content: bytes) -> str:
    """The hash by which git knows a file."""
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


def listing(files: Files) -> dict[str, dict[str, Any]]:
    """What the Hub tells about each file and folder, by path."""
    folders = {str(folder) for path in files for folder in PurePosixPath(path).parents[:-1]}
    entries = {f: {"type": "directory", "path": f, "size": 0, "oid": blob_id(f.encode())} for f in sorted(folders)}
    for path, content in files.items():
        entries[path] = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
        if path.endswith(LFS_SUFFIXES):
            entries[path]["lfs"] = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entries


API = r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
PAGE = r"/((?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)"


class LoopbackHub(FaultyServer):
    """The Hub of one test. Its user is "me", a member of the organisations "acme" (write) and "library" (read)."""

    def __init__(self) -> None:
        super().__init__()
        self.env: dict[str, str] = {}  # for subprocesses: the fixture puts the whole environment here
        self._repos: dict[tuple[str, str], Repo] = {}
        self._lfs: dict[str, bytes] = {}

    def settings(self, home: Path) -> dict[str, str]:
        """The environment variables that point every Hugging Face library at this Hub, with all caches in `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": WRITE,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def add_repo(
        self,
        repo_id: str,
        files: Path | dict[str, bytes | str],
        repo_type: str = "model",
        revision: str | None = None,
        private: bool = False,
    ) -> str:
        """Serve a folder, or files by path, under `repo_id`; as commit `revision` (40 hex digits) and as main.

        Called again for the same repository, it adds a commit. Returns the commit hash.
        """
        if isinstance(files, Path):
            files = {p.relative_to(files).as_posix(): p.read_bytes() for p in files.rglob("*") if p.is_file()}
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        return self._repos.setdefault((f"{repo_type}s", repo_id), Repo(private)).commit(content, revision)

    def remove_repo(self, repo_id: str, repo_type: str = "model") -> None:
        """Somebody deletes a repository."""
        del self._repos[f"{repo_type}s", repo_id]

    def files(self, repo_id: str, repo_type: str = "model", revision: str = "main") -> Files:
        """The files of a repository, by path."""
        return self._repos[f"{repo_type}s", repo_id].at(revision)[1]

    def commits(self, repo_id: str, repo_type: str = "model") -> list[str]:
        """The commit hashes of a repository, oldest first; none if there is no such repository."""
        return list(self._repos.get((f"{repo_type}s", repo_id), Repo()).commits)

    def check(self, request: Request) -> None:
        if request.token not in (None, *ROLES):
            raise HubError(401, "Invalid credentials in Authorization header")

    def _repo(self, request: Request, kind: str, name: str) -> Repo:
        repo = self._repos.get((kind or "models", name))
        if repo is None or (repo.private and not (request.token and name.split("/")[0] in {USER, *ORGANISATIONS})):
            raise HubError(404 if request.token else 401, "Repository not found", "RepoNotFound")
        return repo

    def _check_write(self, request: Request, name: str) -> None:
        role, namespace = ROLES.get(request.token or ""), name.split("/")[0]
        mine = namespace == USER or (ORGANISATIONS.get(namespace) == "write" and role != "fineGrained")
        if role not in ("write", "fineGrained") or not mine:
            raise HubError(403, f"You don't have the rights to write under the namespace {namespace}")

    @route("GET", "/api/whoami-v2")
    def _whoami(self, request: Request) -> Answer:
        if request.token is None:
            raise HubError(401, "Invalid username or password.")
        access: dict[str, Any] = {"displayName": "test", "role": ROLES[request.token]}
        if request.token == FINE_GRAINED:
            scope = {"entity": {"type": "user", "name": USER}, "permissions": ["repo.content.read", "repo.write"]}
            access["fineGrained"] = {"global": [], "scoped": [scope]}
        orgs = [{"type": "org", "name": name, "roleInOrg": role} for name, role in ORGANISATIONS.items()]
        auth = {"type": "access_token", "accessToken": access}
        return ok({"type": "user", "name": USER, "orgs": orgs, "auth": auth})

    @route("POST", "/api/repos/create")
    def _create(self, request: Request) -> Answer:
        wanted = request.json()
        name = f"{wanted.get('organization') or USER}/{wanted['name']}"
        kind = wanted.get("type", "model") + "s"
        self._check_write(request, name)
        if (kind, name) in self._repos:
            return ok({"error": "You already created this model repo", "url": f"{self.url}/{name}"}, 409)
        self._repos[kind, name] = Repo(wanted.get("visibility") == "private")
        self._repos[kind, name].commit({})
        return ok({"url": f"{self.url}/{name}", "name": name})

    @route("POST", "/api/validate-yaml")
    def _validate_yaml(self, request: Request) -> Answer:
        header = re.match(r"---\n(.*?)\n---", request.json()["content"], re.DOTALL)
        try:
            yaml.safe_load(header[1] if header else "")
        except yaml.YAMLError as error:
            return ok({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return ok({"errors": [], "warnings": []})

    @route("GET", API + "/auth-check(?P<write>/write)?")
    def _auth_check(self, request: Request, kind: str, name: str, write: str) -> Answer:
        self._repo(request, kind, name)
        if write:
            self._check_write(request, name)
        return ok({})

    @route("GET", API + "(/revision/(?P<revision>[^/]+))?")
    def _info(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        repo = self._repo(request, kind, name)
        commit_id, files = repo.at(revision or "main")
        info = {"_id": "0", "id": name, "sha": commit_id, "private": repo.private, "gated": False, "disabled": False}
        dates = {"lastModified": DATE, "createdAt": DATE, "downloads": 0, "likes": 0, "tags": []}
        return ok(info | dates | {"siblings": [{"rfilename": path} for path in files]})

    @route("GET", API + "/refs")
    def _refs(self, request: Request, kind: str, name: str) -> Answer:
        head, _ = self._repo(request, kind, name).at("main")
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": head}
        return ok({"branches": [main], "converts": [], "tags": []})

    @route("GET", API + "/tree/(?P<revision>[^/]+)(/(?P<folder>.*))?")
    def _tree(self, request: Request, kind: str, name: str, revision: str, folder: str) -> Answer:
        entries = listing(self._repo(request, kind, name).at(revision)[1])
        if folder and folder not in entries:
            raise HubError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        prefix = f"{folder}/" if folder else ""
        deep = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        inside = [entry for path, entry in entries.items() if path.startswith(prefix)]
        return ok([entry for entry in inside if deep or "/" not in entry["path"].removeprefix(prefix)])

    @route("POST", API + "/paths-info/(?P<revision>[^/]+)")
    def _paths_info(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        entries = listing(self._repo(request, kind, name).at(revision)[1])
        return ok([entries[path] for path in parse_qs(request.body.decode()).get("paths", []) if path in entries])

    @route("GET HEAD", PAGE + "/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def _resolve(self, request: Request, kind: str, name: str, revision: str, path: str) -> Answer:
        commit_id, files = self._repo(request, kind, name).at(revision)
        if path not in files:
            raise HubError(404, f"Entry not found: {path}", "EntryNotFound", X_Repo_Commit=commit_id)
        content, lfs = files[path], path.endswith(LFS_SUFFIXES)
        etag = f'"{sha256(content).hexdigest() if lfs else blob_id(content)}"'
        headers = {"X-Repo-Commit": commit_id, "ETag": etag, "Accept-Ranges": "bytes"}
        headers["Content-Type"] = "application/octet-stream"
        if lfs:
            headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(len(content))}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if wanted is None or request.method == "HEAD":
            return Answer(200, content, headers)
        first = int(wanted[1]) if wanted[1] else max(0, len(content) - int(wanted[2]))
        last = min(int(wanted[2]), len(content) - 1) if wanted[1] and wanted[2] else len(content) - 1
        if first > last:
            raise HubError(416, "Range not satisfiable", Content_Range=f"bytes */{len(content)}")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Answer(206, content[first : last + 1], headers)

    @route("POST", API + "/preupload/(?P<revision>[^/]+)")
    def _preupload(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        known = listing(self._repo(request, kind, name).at(revision)[1])
        self._check_write(request, name)
        plans = []
        for path in (file["path"] for file in request.json()["files"]):
            entry = known.get(path, {})
            lfs = path.endswith(LFS_SUFFIXES)
            oid = entry.get("lfs", entry).get("oid")
            plans.append({"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid})
        return ok({"files": plans})

    @route("POST", PAGE + r"\.git/info/lfs/objects/batch")
    def _lfs_batch(self, request: Request, kind: str, name: str) -> Answer:
        self._repo(request, kind, name)
        self._check_write(request, name)
        wanted = [{"oid": asked["oid"], "size": asked["size"]} for asked in request.json()["objects"]]
        for item in wanted:
            if item["oid"] not in self._lfs:  # no actions mean that the Hub has the content already
                upload = {"href": f"{self.url}/lfs/{item['oid']}"}
                item["actions"] = {"upload": upload, "verify": {"href": f"{self.url}/lfs-verify"}}
        return ok({"transfer": "basic", "objects": wanted})

    @route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
    def _lfs_put(self, request: Request, oid: str) -> Answer:
        if sha256(request.body).hexdigest() != oid:
            raise HubError(400, "The content does not have the announced sha256")
        self._lfs[oid] = request.body
        return ok({})

    @route("POST", "/lfs-verify")
    def _lfs_verify(self, request: Request) -> Answer:
        asked = request.json()
        if len(self._lfs.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "Object not found")
        return ok({})

    @route("POST", API + "/commit/(?P<revision>[^/]+)")
    def _commit(self, request: Request, kind: str, name: str, revision: str) -> Answer:
        repo = self._repo(request, kind, name)
        self._check_write(request, name)
        parent, files = repo.at(revision)
        files = dict(files)
        for key, value in ((line["key"], line["value"]) for line in map(json.loads, request.body.splitlines())):
            if key == "header" and value.get("parentCommit", parent) != parent:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile" and value["oid"] not in self._lfs:
                raise HubError(400, f"LFS object {value['oid']} was never uploaded")
            elif key == "lfsFile":
                files[value["path"]] = self._lfs[value["oid"]]
            elif key in ("deletedFile", "deletedFolder"):
                gone = value["path"].rstrip("/")
                files = {path: c for path, c in files.items() if path != gone and not path.startswith(f"{gone}/")}
        commit_id = repo.commit(files)
        return ok({"success": True, "commitOid": commit_id, "commitUrl": f"{self.url}/{name}/commit/{commit_id}"})
