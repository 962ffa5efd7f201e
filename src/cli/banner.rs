//! The text that `orchestrator dev` prints once it runs: its address, its key, and a command to
//! try.

/// Returns the text for a gateway at `url`, such as `http://127.0.0.1:8000`, its new admin key, and
/// a description of its store.
pub fn text(url: &str, key: &str, store: &str) -> String {
    format!(
        "\
MorningAI Orchestrator is up.

  API       {url}
  page      {url}/ui
  docs      {url}/docs
  admin key {key}
  store     {store}

Submit a task:

  curl -s {url}/tasks -H 'X-API-Key: {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{\"type\": \"faq\", \"payload\": {{\"question\": \"What is the meaning of life?\"}}}}'

Ctrl-C stops it.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_as_it_is() {
        let text = text("http://127.0.0.1:8000", "k3y", "private");

        assert!(text.contains("curl -s http://127.0.0.1:8000/tasks -H 'X-API-Key: k3y' \\\n"));
        assert!(text.contains(
            r#"-d '{"type": "faq", "payload": {"question": "What is the meaning of life?"}}'"#
        ));
    }
}
