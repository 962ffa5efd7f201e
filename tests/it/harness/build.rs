//! How a fleet is put together.

use orchestrator::domain::people;
use orchestrator::engine::{self, Engine};
use orchestrator::settings::{Settings, Variables};
use orchestrator::store::{self, Store};
use tokio_util::sync::CancellationToken;

use super::{BOUND, Fleet, LossyProxy, People, Redis, cluster, encryption};

/// What a fleet shall be like; what is not said is as in `config/default.toml`.
pub struct Builder {
    is_durable: bool,
    is_lossy: bool,
    is_lesser_user: bool,
    arguments: Vec<&'static str>,
    store: store::Settings,
    settings: engine::Settings,
}

impl Builder {
    pub fn new() -> Self {
        let Settings { mut engine, store, .. } = defaults();
        // A call that waits is woken, or its test fails.
        engine.queue.slow_poll_ms = 2 * BOUND.as_millis() as u64;
        Self {
            is_durable: false,
            is_lossy: false,
            is_lesser_user: false,
            arguments: Vec::new(),
            store,
            settings: engine,
        }
    }

    pub fn partitions(mut self, partitions: u16) -> Self {
        self.store.partitions = partitions;
        self
    }

    /// The Redis can be stopped and started again without a loss.
    pub fn durable(mut self) -> Self {
        self.is_durable = true;
        self
    }

    /// The wire to Redis can lose an answer.
    pub fn lossy(mut self) -> Self {
        self.is_lossy = true;
        self
    }

    /// The store comes as the user `orch`, who may do no more than the documentation says.
    pub fn lesser_user(mut self) -> Self {
        self.is_lesser_user = true;
        self
    }

    /// More arguments for `redis-server`.
    pub fn redis(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// Texts are encrypted with the key `current`; those of the keys `ids` can be read.
    pub fn encrypted(mut self, current: &str, ids: &[&str]) -> Self {
        self.store.encryption = encryption(current, ids);
        self
    }

    pub fn response_timeout_ms(mut self, ms: u64) -> Self {
        self.store.response_timeout_ms = ms;
        self
    }

    /// Changes what the engine is told.
    pub fn settings(mut self, change: impl FnOnce(&mut engine::Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// A credential may submit in the name of these sources.
    pub fn sources(self, who: &str, sources: &[&str]) -> Self {
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        let people = people::People::new(&[].into(), &[(who.to_owned(), sources)].into());
        self.settings(|settings| settings.people = people)
    }

    /// No task needs an approval.
    pub fn without_approvals(self) -> Self {
        self.settings(|settings| settings.approvals.rules.clear())
    }

    /// A cluster of one node, and the URL of a store on it.
    async fn cluster(is_durable: bool, arguments: &[&str]) -> (Redis, String) {
        let (more, url) = cluster::of_one_node();
        let all: Vec<_> =
            arguments.iter().copied().chain(more.iter().map(String::as_str)).collect();
        let redis = Redis::told(is_durable, &all).await;
        cluster::take_all_slots(&redis).await;
        (redis, url)
    }

    pub async fn start(self) -> Fleet {
        // A proxy leads to one server, but a cluster names its nodes.
        let (redis, url) = if cluster::is_wanted() && !self.is_lossy && !self.is_lesser_user {
            Self::cluster(self.is_durable, &self.arguments).await
        } else {
            let redis = Redis::told(self.is_durable, &self.arguments).await;
            let url = redis.url().to_owned();
            (redis, url)
        };
        let proxy = self.is_lossy.then(|| LossyProxy::start(redis.url()));
        let mut url = proxy.as_ref().map_or(&*url, LossyProxy::url).to_owned();
        if self.is_lesser_user {
            redis.grant_to_lesser_user().await;
            url += "?user=orch&pass=secret";
        }
        let store_settings = store::Settings {
            url: url.into(),
            events_kept: self.settings.retention.events,
            events_bytes: self.settings.retention.events_bytes,
            ..self.store
        };
        let store = Store::open(store_settings.clone()).await.unwrap();
        let stop = CancellationToken::new();
        let engine = Engine::new(store.clone(), self.settings, stop.clone());
        Fleet {
            engine,
            store,
            redis,
            proxy,
            people: People::new(),
            stop,
            store_settings,
            is_finished: false,
        }
    }
}

/// The settings of `config/default.toml`, but for the store's patience: a busy machine is no fault of the store, and tests
/// of its patience say how long it is.
pub fn defaults() -> Settings {
    let mut settings = Settings::read(None, &Variables::new()).unwrap();
    settings.store.response_timeout_ms = 10_000;
    settings
}

/// An engine with the default settings over the Redis at `url`, to look at what processes have left there.
pub async fn engine_over(url: &str) -> Engine {
    engine_told(url, |_| {}).await
}

/// The same with other settings.
pub async fn engine_told(url: &str, change: impl FnOnce(&mut engine::Settings)) -> Engine {
    let Settings { mut engine, store, .. } = defaults();
    change(&mut engine);
    let store = store::Settings { url: url.into(), ..store };
    Engine::new(Store::open(store).await.unwrap(), engine, CancellationToken::new())
}
