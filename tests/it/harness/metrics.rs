//! What `GET /metrics` shows.

use std::collections::BTreeMap;

use reqwest::Method;

use super::{Answer, Site, eventually};

impl Answer {
    /// Reads the text format strictly: every sample belongs to a metric that was announced with help and type.
    #[track_caller]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let (mut samples, mut announced) = (BTreeMap::new(), String::new());
        for line in self.body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                announced =
                    help.split_once(' ').filter(|(_, text)| !text.is_empty()).unwrap().0.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, announced);
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next(), Some(&*announced), "{line}");
                let is_new =
                    samples.insert(name.to_owned(), value.parse::<f64>().unwrap()).is_none();
                assert!(is_new, "twice: {line}");
            }
        }
        assert!(self.body.ends_with('\n'));
        samples
    }
}

impl Site {
    pub async fn metrics(&self) -> Answer {
        self.anonymous(Method::GET, "/metrics").send().await
    }

    /// Waits until the sample of this name, with its labels, is there and so; what is shown may be a second old.
    pub async fn shows(&self, name: &str, is_so: impl Fn(f64) -> bool) {
        eventually(&format!("{name} is as expected"), async || {
            let answer = self.metrics().await;
            if answer.status != 200 {
                return Err(format!("{answer:?}"));
            }
            match answer.metrics().get(name) {
                Some(value) if is_so(*value) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}
