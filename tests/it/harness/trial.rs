//! One call of a script, tried again and again on the state that it would have met, with something in its way.

use std::collections::BTreeMap;

use orchestrator::store::script::Script;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Value, cmd};

use super::{FIELDS, LAYOUT, Redis, key, place_in};

/// Stands before a script: notes each call in a list, and fails the one of this number.
const SHIM: &str = r"
local real, nth, has_written, checked, typed_by = redis, 0, false, {}, {}
local WRITES = { HSET=1, HDEL=1, HINCRBY=1, SADD=1, SREM=1, ZADD=1, ZREM=1, ZREMRANGEBYRANK=1, DEL=1, SET=1,
  ZREMRANGEBYSCORE=1, XADD=1, XTRIM=1, EXPIRE=1, XDEL=1, ZPOPMIN=1, ZINCRBY=1, INCR=1, UNLINK=1, APPEND=1,
  XSETID=1, RENAME=1, PERSIST=1, PEXPIRE=1, HINCRBYFLOAT=1, RPUSH=1, LPUSH=1, LTRIM=1, LPOP=1, SPOP=1 }
local TYPELESS = { DEL=1, SET=1, EXPIRE=1 }
local function note(way, command, key)
  nth = nth + 1
  real.call('RPUSH', 'harness:calls', way .. ' ' .. command .. ' ' .. key .. ' ' .. tostring(has_written))
  return nth == FAIL_AT
end
local redis = setmetatable({
  acl_check_cmd = function(...)
    local command, key = ...
    checked[command .. ' ' .. tostring(key)] = true
    return real.acl_check_cmd(...)
  end,
  call = function(command, key, ...)
    key = tostring(key)
    local fails = note('call', command, key)
    if has_written then
      local is_safe = checked[command .. ' ' .. key] and (TYPELESS[command] or typed_by[key])
      if not is_safe and not (command == 'XADD' and has_written == 'XADD ' .. key) then
        error({ err = 'UNCHECKED ' .. command .. ' ' .. key })
      end
    elseif fails then
      error({ err = 'MADEUP error' })
    end
    local answer
    if key == 'nil' then answer = real.call(command) else answer = real.call(command, key, ...) end
    if WRITES[command] then has_written = has_written or command .. ' ' .. key end
    if not TYPELESS[command] and command ~= 'EXISTS' then typed_by[key] = true end
    return answer
  end,
  pcall = function(command, key, ...)
    if note('pcall', command, tostring(key)) then return { err = 'MADEUP error' } end
    return real.pcall(command, key, ...)
  end,
}, { __index = real })
";

/// Every key but what is not the scripts'.
type State = BTreeMap<String, Content>;

struct Content {
    /// How long it lives on, ms; less than 1: for ever.
    ttl: i64,
    dump: Vec<u8>,
    /// The same for the same content, however it is laid out.
    digest: String,
}

/// A script and the state that its call meets.
pub struct Trial<'t> {
    redis: &'t Redis,
    script: &'static Script,
    name: String,
    /// What follows the number of keys.
    words: Vec<Vec<u8>>,
    connection: MultiplexedConnection,
    before: State,
}

impl<'t> Trial<'t> {
    /// The call of `script` in what was sent, on what is stored now.
    pub async fn of(redis: &'t Redis, script: &'static Script, variant: &str, sent: &[u8]) -> Self {
        let connection = redis.patient_connection().await;
        let (name, words) = (format!("{} {variant}", script.name), words_of(sent, &script.digest));
        let mut trial = Self { redis, script, name, words, connection, before: State::new() };
        trial.before = trial.state().await;
        trial
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.asked(cmd("KEYS").arg("*")).await;
        keys.retain(|key| key != LAYOUT);
        keys
    }

    async fn asked<T: FromRedisValue>(&self, cmd: &redis::Cmd) -> T {
        cmd.query_async(&mut self.connection.clone()).await.unwrap()
    }

    async fn state(&self) -> State {
        let mut state = State::new();
        for key in self.keys().await.into_iter().filter(|key| !key.starts_with("harness:")) {
            let mut pipe = redis::pipe();
            pipe.cmd("PTTL").arg(&key).cmd("DUMP").arg(&key);
            pipe.cmd("DEBUG").arg("DIGEST-VALUE").arg(&key);
            let (ttl, dump, digest): (i64, Option<Vec<u8>>, Vec<String>) =
                pipe.query_async(&mut self.connection.clone()).await.unwrap();
            state.extend(dump.map(|dump| (key, Content { ttl, dump, digest: digest.concat() })));
        }
        state
    }

    /// Puts the state back that the call meets.
    async fn restore(&self) {
        let mut pipe = redis::pipe();
        pipe.cmd("PING").ignore();
        for key in self.keys().await {
            pipe.cmd("DEL").arg(key).ignore();
        }
        for (key, Content { ttl, dump, .. }) in &self.before {
            pipe.cmd("RESTORE").arg(key).arg((*ttl).max(0)).arg(&dump[..]).ignore();
        }
        pipe.exec_async(&mut self.connection.clone()).await.unwrap();
    }

    /// Calls the script, the `fail_at`-th of its calls failing (0: none), as this connection's user.
    async fn call(
        &self,
        shim: Option<usize>,
        connection: &MultiplexedConnection,
    ) -> RedisResult<Value> {
        let (first, rest) = self.script.text.split_once('\n').unwrap();
        let text = match shim {
            Some(fail_at) => format!("{first}\nlocal FAIL_AT = {fail_at}\n{SHIM}{rest}"),
            None => self.script.text.clone(),
        };
        let mut eval = cmd("EVAL");
        eval.arg(text).arg(1);
        for word in &self.words {
            eval.arg(&word[..]);
        }
        eval.query_async(&mut connection.clone()).await
    }

    /// Asserts that the call changed nothing if it failed. Returns whether it failed.
    async fn is_whole(&self, what: &str, met: &State, answer: RedisResult<Value>) -> bool {
        let Err(error) = answer else { return false };
        assert!(!error.to_string().contains("UNCHECKED"), "{}: {what}: {error}", self.name);
        let after = self.state().await;
        for key in met.keys().chain(after.keys()) {
            let (was, is) = (met.get(key), after.get(key));
            let same = was.map(|one| &one.digest) == is.map(|one| &one.digest);
            assert!(same, "{}: {what}: {error}: yet {key} has changed", self.name);
        }
        true
    }

    /// What the script calls, when nothing stands in its way: each `<way> <command> <key> <whether it has written>`.
    async fn calls(&self) -> Vec<Vec<String>> {
        self.restore().await;
        let answer = self.call(Some(0), &self.connection).await;
        answer.unwrap_or_else(|error| panic!("{}: nothing in the way: {error}", self.name));
        let calls: Vec<String> = self.redis.ask(&["LRANGE", "harness:calls", "0", "-1"]).await;
        calls.iter().map(|call| call.split(' ').map(str::to_owned).collect()).collect()
    }

    /// An error at each call.
    async fn at_every_call(&self, calls: &[Vec<String>]) {
        for (nth, call) in calls.iter().enumerate() {
            self.restore().await;
            let answer = self.call(Some(nth + 1), &self.connection).await;
            let must_fail = call[0] == "call" && call[3] == "false";
            let what = format!("an error at call {} ({})", nth + 1, call.join(" "));
            let has_failed = self.is_whole(&what, &self.before, answer).await;
            assert_eq!(has_failed, must_fail, "{}: {what}", self.name);
        }
    }

    /// Another type in the place of each key.
    async fn over_other_types(&self, calls: &[Vec<String>]) {
        for key in keys(calls) {
            for other in [
                &["SET", key, "x"][..],
                &["RPUSH", key, "x"],
                &["ZADD", key, "1", "x"],
                &["SADD", key, "x"],
            ] {
                self.restore().await;
                self.redis.ask::<Value>(&["DEL", key]).await;
                self.redis.ask::<Value>(other).await;
                let met = self.state().await;
                let answer = self.call(None, &self.connection).await;
                self.is_whole(&format!("{other:?}"), &met, answer).await;
            }
        }
    }

    /// A user who may not run one of the commands, or may only read one of the keys.
    async fn as_lesser_users(&self, calls: &[Vec<String>]) {
        let user = self.user().await;
        let mut commands: Vec<&str> = calls.iter().map(|call| call[1].as_str()).collect();
        commands.sort_unstable();
        commands.dedup();
        for command in commands {
            let denied = format!("-{}", command.to_lowercase());
            self.as_user(&user, &["~*", "&*", "+@all", &denied]).await;
        }
        let keys = keys(calls);
        for denied in &keys {
            let mut rules = vec!["&*".to_owned(), "+@all".to_owned(), format!("~{}", key(""))];
            rules
                .extend(keys.iter().map(|key| {
                    if key == denied { format!("%R~{key}") } else { format!("~{key}") }
                }));
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            self.as_user(&user, &rules).await;
        }
        let has_failed = self.as_user(&user, &["~*", "resetchannels", "+@all"]).await;
        if self.script.name == "probe" {
            // It is there to say so.
            return assert!(has_failed);
        }
        assert!(!has_failed, "{}: fails where only notifications are not allowed", self.name);
        let tells = calls.iter().filter(|call| call[1] == "PUBLISH").count();
        let refused: Vec<u64> = self.redis.ask(&["HVALS", &key("refused")]).await;
        // Time goes on, and with it a timer may come near for which a notification is sent.
        let counted = refused.iter().sum::<u64>() as usize;
        assert!(counted >= tells, "{}: {counted} of {tells} counted", self.name);
    }

    async fn user(&self) -> MultiplexedConnection {
        self.redis.ask::<String>(&["ACL", "SETUSER", "lesser", "on", ">x", "+@all"]).await;
        let mut user = self.redis.patient_connection().await;
        cmd("AUTH").arg("lesser").arg("x").exec_async(&mut user).await.unwrap();
        user
    }

    async fn as_user(&self, user: &MultiplexedConnection, rules: &[&str]) -> bool {
        let start = ["ACL", "SETUSER", "lesser", "resetkeys", "resetchannels", "-@all"];
        self.redis.ask::<String>(&[&start, rules].concat()).await;
        self.restore().await;
        let answer = self.call(None, user).await;
        self.is_whole(&format!("a user with {rules:?}"), &self.before, answer).await
    }

    /// Something that is no number where one belongs.
    async fn over_nonsense(&self) {
        for key in self.before.keys() {
            let name = key.rsplit_once("}:").map_or(key.as_str(), |(_, name)| name);
            let fields: Vec<String> = match name.split(':').next().unwrap() {
                "open" | "sla" | "doctor" | "audit" if !name.ends_with("audit") => {
                    self.restore().await;
                    self.redis.ask(&["HKEYS", key]).await
                }
                _ => Vec::new(),
            };
            for field in fields {
                self.over(key, &field, "nonsense").await;
            }
        }
        for (id, record) in self.records().await {
            for field in FIELDS {
                let place = place_in(&record, field);
                let nonsense = if place.len() == 13 { "13 characters" } else { "nonsense" };
                let mut edited = record.clone();
                edited.replace_range(place, nonsense);
                self.over(&key("records"), &id, &edited).await;
            }
        }
    }

    async fn records(&self) -> Vec<(String, String)> {
        self.restore().await;
        let records: BTreeMap<String, String> = self.redis.ask(&["HGETALL", &key("records")]).await;
        records.into_iter().collect()
    }

    async fn over(&self, key: &str, field: &str, value: &str) {
        self.restore().await;
        self.redis.ask::<i64>(&["HSET", key, field, value]).await;
        let met = self.state().await;
        let answer = self.call(None, &self.connection).await;
        self.is_whole(&format!("{key} {field} = {value}"), &met, answer).await;
    }

    /// Everything that can be in the way.
    pub async fn run(&self) {
        let calls = self.calls().await;
        self.at_every_call(&calls).await;
        self.over_other_types(&calls).await;
        self.as_lesser_users(&calls).await;
        self.over_nonsense().await;
    }
}

/// The keys that the calls are about.
fn keys(calls: &[Vec<String>]) -> Vec<&str> {
    let about = calls.iter().map(|call| call[2].as_str());
    let mut keys: Vec<_> = about.filter(|about| about.starts_with(&key(""))).collect();
    keys.retain(|key| !key.contains(":wake:"));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The words of the first call of this script in what was sent.
fn words_of(sent: &[u8], digest: &str) -> Vec<Vec<u8>> {
    let at = sent.windows(digest.len()).position(|found| found == digest.as_bytes()).unwrap();
    // The name of a function goes on after the digest.
    let end = sent[at..].windows(2).position(|found| found == b"\r\n").unwrap();
    let mut rest = &sent[at + end + 2..];
    let mut words = Vec::new();
    while rest.first() == Some(&b'$') {
        let end = rest.windows(2).position(|found| found == b"\r\n").unwrap();
        let length: usize = std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
        words.push(rest[end + 2..end + 2 + length].to_vec());
        rest = &rest[end + 4 + length..];
    }
    // Before them stands how many of them are keys.
    words.split_off(1)
}
