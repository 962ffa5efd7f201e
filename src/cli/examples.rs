//! Two examples for every command, which its `--help` shows, and the page of all commands.

use clap::{Command, CommandFactory};

use super::Arguments;

/// A command by its words, and two ways to call it.
type Examples = (&'static str, [&'static str; 2]);

const EXAMPLES: &[Examples] = &[
    ("dev", ["orchestrator dev", "orchestrator dev --port 9000 --data /tmp/orchestrator"]),
    ("demo", ["orchestrator demo", "REDIS_URL=redis://127.0.0.1:6379/9 orchestrator demo"]),
    (
        "gateway",
        ["orchestrator gateway", "ORCHESTRATOR_PORT=9000 orchestrator gateway --config fleet.toml"],
    ),
    (
        "worker",
        [
            "orchestrator worker",
            "REDIS_URL=redis://redis:6379 orchestrator worker --config fleet.toml",
        ],
    ),
    (
        "bridge",
        [
            "NATS_URL=nats://127.0.0.1:4222 orchestrator bridge",
            "orchestrator bridge --config fleet.toml",
        ],
    ),
    ("settings", ["orchestrator settings", "orchestrator settings --config fleet.toml -o jsonl"]),
    ("openapi", ["orchestrator openapi", "orchestrator openapi --yaml"]),
    ("bench", ["orchestrator bench --quick", "orchestrator bench --only pickup,depth --rounds 5"]),
    ("doctor", ["orchestrator doctor", "orchestrator doctor --repair -o json"]),
    ("upgrade", ["orchestrator upgrade", "REDIS_URL=redis://redis:6379 orchestrator upgrade"]),
    (
        "first-key",
        [
            "orchestrator first-key root",
            "REDIS_URL=redis://redis:6379 orchestrator first-key ops --identity alice",
        ],
    ),
    (
        "tasks submit",
        [
            r#"orchestrator tasks submit faq --payload '{"question": "why?"}' --wait"#,
            "orchestrator tasks submit --file tasks.jsonl -o id",
        ],
    ),
    ("tasks get", ["orchestrator tasks get $ID", "orchestrator tasks get $ID -o json"]),
    (
        "tasks list",
        [
            "orchestrator tasks list --status failed --type bugfix",
            "orchestrator tasks list --status pending --limit 200 -o id",
        ],
    ),
    ("tasks watch", ["orchestrator tasks watch $ID", "orchestrator tasks watch $ID -o jsonl"]),
    (
        "tasks cancel",
        [
            "orchestrator tasks cancel $ID --reason 'wrong branch'",
            "orchestrator tasks cancel --type faq --created-before 2026-11-01T00:00:00Z --dry-run",
        ],
    ),
    (
        "tasks retry",
        [
            "orchestrator tasks retry $ID",
            "orchestrator tasks retry --status failed --type bugfix --yes",
        ],
    ),
    (
        "tasks raise",
        [
            "orchestrator tasks raise --to P1 --source github --reason 'release today'",
            "orchestrator tasks raise --to P2 --priority P3 --all --dry-run",
        ],
    ),
    (
        "approvals list",
        [
            "orchestrator approvals list",
            "orchestrator approvals list --status all --limit 200 -o jsonl",
        ],
    ),
    (
        "approvals show",
        ["orchestrator approvals show $ID", "orchestrator approvals show $ID -o json"],
    ),
    (
        "approvals approve",
        [
            "orchestrator approvals approve $ID --comment 'read the diff'",
            r#"orchestrator approvals approve $ID --payload '{"environment": "staging"}'"#,
        ],
    ),
    (
        "approvals review",
        ["orchestrator approvals review", "EDITOR='code --wait' orchestrator approvals review"],
    ),
    (
        "approvals reject",
        [
            "orchestrator approvals reject $ID --reason 'not on a Friday'",
            "orchestrator approvals list -o id | xargs orchestrator approvals reject --reason 'freeze'",
        ],
    ),
    (
        "approvals retarget",
        [
            "orchestrator approvals retarget $ID --group oncall --quorum 2",
            "orchestrator approvals retarget $ID --rule urgent",
        ],
    ),
    (
        "audit list",
        [
            "orchestrator audit list --actor key:ops",
            "orchestrator audit list --action approve -o jsonl",
        ],
    ),
    ("audit verify", ["orchestrator audit verify", "orchestrator audit verify --expect $HEAD"]),
    (
        "agent run",
        [
            "orchestrator agent run --agent faq_agent -- python3 answer.py",
            "orchestrator agent run --agent dev_agent --concurrency 4 --retry-on 1,75 -- ./fix.sh",
        ],
    ),
    (
        "agent ask",
        [
            "orchestrator agent ask --reason 'drop the table users' || exit $?",
            r#"orchestrator agent ask --reason deploy --action '{"version": 7}' --on-rejection return"#,
        ],
    ),
    ("agents list", ["orchestrator agents list", "orchestrator agents list -o json"]),
    (
        "agents pause",
        [
            "orchestrator agents pause dev_agent",
            "orchestrator agents list -o id | xargs orchestrator agents pause",
        ],
    ),
    (
        "agents resume",
        [
            "orchestrator agents resume dev_agent",
            "orchestrator agents list -o id | xargs orchestrator agents resume",
        ],
    ),
    (
        "events tail",
        [
            "orchestrator events tail --types 'task.*,approval.*'",
            "orchestrator events tail --task $ID -o jsonl",
        ],
    ),
    (
        "events publish",
        [
            r#"orchestrator events publish deploy.started --payload '{"version": "2.14.1"}'"#,
            "orchestrator events publish alert.resolved --task $ID",
        ],
    ),
    (
        "sla report",
        [
            "orchestrator sla report",
            "orchestrator sla report --from 2026-11-01T00:00:00Z --group-by agent -o json",
        ],
    ),
    ("stats", ["orchestrator stats", "orchestrator stats --watch --every 5"]),
    ("top", ["orchestrator top", "orchestrator top --every 10 --context work"]),
    ("bulk show", ["orchestrator bulk show $ID", "orchestrator bulk show $ID -o json"]),
    ("bulk abort", ["orchestrator bulk abort $ID", "orchestrator bulk abort $ID -o json"]),
    ("whoami", ["orchestrator whoami", "orchestrator whoami --context dev-approver -o json"]),
    (
        "keys create",
        [
            "orchestrator keys create dev_worker --role agent --agent dev_agent",
            "orchestrator keys create ci --role agent --scope tasks:write --type bugfix",
        ],
    ),
    ("keys list", ["orchestrator keys list", "orchestrator keys list --limit 200 -o json"]),
    (
        "keys rotate",
        ["orchestrator keys rotate $ID --grace 3600", "orchestrator keys rotate $ID -o json"],
    ),
    ("keys revoke", ["orchestrator keys revoke $ID", "orchestrator keys revoke $ID -o json"]),
    (
        "context add",
        [
            "orchestrator context add home --url http://127.0.0.1:8000 --key-file key.txt",
            "orchestrator context add work --url https://example.com --key-command 'pass show tasks'",
        ],
    ),
    ("context use", ["orchestrator context use work", "orchestrator context use dev"]),
    ("context list", ["orchestrator context list", "orchestrator context list | grep https"]),
    (
        "context remove",
        ["orchestrator context remove home", "orchestrator context remove dev-user"],
    ),
    (
        "api",
        [
            "orchestrator api GET '/tasks?status=failed&limit=1'",
            r#"orchestrator api POST /tasks -d '{"type": "faq", "payload": {}}'"#,
        ],
    ),
    (
        "completions",
        [
            "orchestrator completions bash > orchestrator.bash",
            "orchestrator completions zsh > ~/.zfunc/_orchestrator",
        ],
    ),
];

/// Returns the command line, with the examples.
pub fn command() -> Command {
    without_values(with_examples(Arguments::command(), ""))
}

/// Hides the values of variables, some of which are secret, from the help of all commands.
fn without_values(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(without_values)
}

/// Adds the examples of the command with this path, and of those below it.
fn with_examples(mut command: Command, path: &str) -> Command {
    let names: Vec<_> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in names {
        let inner = format!("{path} {name}").trim().to_owned();
        command = command.mut_subcommand(name, |found| with_examples(found, &inner));
    }
    let Some((_, [one, other])) = EXAMPLES.iter().find(|(known, _)| *known == path) else {
        return command;
    };
    command.after_help(format!("Examples:\n  {one}\n  {other}"))
}

/// What the page begins with.
const TITLE: &str = "# Command line\n\nWhat `-h` prints for every command; written by \
    `orchestrator reference > docs/cli.md`.\n";

/// Returns the page of all commands: what its `-h` prints, in Markdown.
pub fn reference() -> String {
    let mut page = TITLE.to_owned();
    let mut command = command();
    command.build();
    write_command(&mut page, &mut command);
    page
}

fn write_command(page: &mut String, command: &mut Command) {
    let name = command.get_bin_name().unwrap_or("orchestrator").to_owned();
    let level = "#".repeat((name.split(' ').count() + 1).min(3));
    // One line for each option, below all that is known about the command.
    let about = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
    let help = command.clone().about(about).render_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n{level} {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for inner in command.get_subcommands_mut() {
        if inner.get_name() != "help" && !inner.is_hide_set() {
            write_command(page, inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `$ID` stands for.
    const ID: &str = "01a20558-059e-77b3-a1d4-242afd96db00";

    /// The words of a shell command: parts between single quotes are one.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (nth, part) in line.split('\'').enumerate() {
            let mut pieces = part.split(' ');
            if nth % 2 == 1 {
                words.last_mut().unwrap().push_str(part);
                continue;
            }
            words.last_mut().unwrap().push_str(pieces.next().unwrap());
            words.extend(pieces.map(str::to_owned));
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        let inner: Vec<_> = visible.collect();
        if inner.is_empty() {
            found.push(path.to_owned());
        }
        for inner in inner {
            leaves(inner, format!("{path} {}", inner.get_name()).trim(), found);
        }
    }

    #[test]
    fn every_command_has_two_examples() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "", &mut found);
        found.sort_unstable();
        let mut known: Vec<_> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        known.sort_unstable();

        assert_eq!(found, known);
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        for (path, examples) in EXAMPLES {
            for example in examples {
                let words = words(example);
                let begin = words.iter().rposition(|word| word == "orchestrator").unwrap();
                let shell = |word: &&String| !["|", "||", ">"].contains(&word.as_str());
                let mut words: Vec<_> = words[begin..].iter().take_while(shell).cloned().collect();
                for word in &mut words {
                    *word = word.replace("$ID", ID);
                }
                if example.contains("xargs") {
                    words.push(if path.starts_with("agents") { "a" } else { ID }.to_owned());
                }
                if path.starts_with("agent ask") {
                    let held = ["--task", ID, "--attempt", "1", "--lease", "x"];
                    words.extend(held.map(str::to_owned));
                }
                let parsed = Arguments::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
                assert!(words[1..].join(" ").starts_with(path), "{example}");
            }
        }
    }
}
