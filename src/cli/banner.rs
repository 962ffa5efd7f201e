//! The text that `orchestrator dev` prints once it runs: its address, its keys, and what to try.

/// What the text names.
pub struct Banner<'b> {
    /// The address of the gateway, such as `http://127.0.0.1:8000`.
    pub url: &'b str,
    /// The keys of an admin, an approver, an agent and a user.
    pub keys: &'b [String; 4],
    /// What the store is, in words.
    pub store: &'b str,
    /// How the user calls this program.
    pub program: &'b str,
    /// Whether the user has the contexts `dev`, `dev-approver` and so on.
    pub has_contexts: bool,
}

impl Banner<'_> {
    /// Returns the text. Its commands can be pasted as they are.
    pub fn text(&self) -> String {
        let Self { url, keys: [admin, approver, agent, user], store, program, .. } = self;
        let [as_admin, as_approver, as_agent] =
            [("dev", admin), ("dev-approver", approver), ("dev-agent", agent)].map(
                |(context, key)| {
                    if self.has_contexts {
                        format!("ORCHESTRATOR_CONTEXT={context} {program}")
                    } else {
                        format!("ORCHESTRATOR_URL={url} ORCHESTRATOR_API_KEY={key} {program}")
                    }
                },
            );
        format!(
            "\
MorningAI Orchestrator is up.

  API           {url}
  page          {url}/ui
  docs          {url}/docs
  admin key     {admin}
  approver key  {approver}
  agent key     {agent}
  user key      {user}
  store         {store}

Submit a task that needs an approval, approve it, and run an agent that returns the task:

  {as_admin} tasks submit deploy
  {as_approver} approvals approve --yes $({as_approver} approvals list -o id)
  {as_agent} agent run --agent ops_agent -- cat

Ctrl-C stops it.
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_can_be_pasted_as_they_are() {
        let keys = ["k1", "k2", "k3", "k4"].map(str::to_owned);
        let banner = Banner {
            url: "http://127.0.0.1:8000",
            keys: &keys,
            store: "private",
            program: "orchestrator",
            has_contexts: true,
        };

        let text = banner.text();
        assert!(text.contains("\n  ORCHESTRATOR_CONTEXT=dev orchestrator tasks submit deploy\n"));
        for (role, key) in ["admin", "approver", "agent", "user"].into_iter().zip(&keys) {
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            assert!(lines.into_iter().any(|words| words == [role, "key", key]), "{text}");
        }

        let text = Banner { has_contexts: false, ..banner }.text();
        let agent =
            "ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=k3 orchestrator agent";
        assert!(text.contains(agent), "{text}");
    }
}
