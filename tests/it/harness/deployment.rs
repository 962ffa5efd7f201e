//! A small deployment of processes: a private Redis, a gateway, mostly a worker, and users at a shell.

use super::{Client, Process, Program, Redis};

/// A gateway, and perhaps a worker, of one program.
pub struct Deployment {
    pub gateway: Process,
    worker: Option<Process>,
    /// Starts another process of it.
    pub program: Program,
    pub redis: Redis,
}

impl Deployment {
    /// A gateway and a worker over a Redis of their own.
    pub async fn start() -> Self {
        Self::over(Redis::start().await)
    }

    /// A gateway without a worker, so that no task moves by itself.
    pub async fn start_gateway() -> Self {
        let redis = Redis::start().await;
        let program = Program::over(redis.url());
        Self::gateway_of(redis, program)
    }

    /// A gateway and a worker over this Redis.
    pub fn over(redis: Redis) -> Self {
        let program = Program::over(redis.url());
        Self::of(redis, program)
    }

    /// A gateway and a worker of this program, which reaches the Redis.
    pub fn of(redis: Redis, program: Program) -> Self {
        let worker = Some(program.start(&["worker"]));
        Self { worker, ..Self::gateway_of(redis, program) }
    }

    /// A gateway of this program.
    pub fn gateway_of(redis: Redis, program: Program) -> Self {
        let gateway = program.start(&["gateway"]);
        Self { gateway, worker: None, program, redis }
    }

    pub fn worker(&self) -> &Process {
        self.worker.as_ref().unwrap()
    }

    /// A client of the gateway with the API key of this name.
    pub async fn client(&self, name: &'static str) -> Client {
        self.gateway.client(name).await
    }

    /// Ends the test: the doctor finds nothing, and every process stops in order.
    pub async fn finish(self) {
        self.program.finds_the_store_sound().await;
        self.stop().await;
    }

    /// Ends a test that has broken the store on purpose.
    pub async fn stop(self) {
        for process in self.worker.into_iter().chain([self.gateway]) {
            process.stop().await;
        }
    }
}
