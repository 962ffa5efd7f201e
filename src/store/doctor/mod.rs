//! The doctor: finds what is inconsistent in the store, and repairs it.
//!
//! A walk over all keys leads to every index and every hash, in bounded pieces. Scripts check each
//! piece at one moment, so that running agents cause no false findings. They also repair it at that
//! moment, so that nothing changes in between. Each check is a function of one of the scripts
//! `doctor_tasks`, `doctor_index`, `doctor_approvals`, `doctor_agents` and `doctor_children`.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::domain::ids::{ApprovalId, Partition};

use super::keys::Keys;
use super::keyspace::{self, Content};
use super::script::Script;
use super::{Error, Store, args, script};

mod finding;
mod recount;
mod texts;
mod turn;

pub use finding::{Finding, Problem, Repair};
pub use texts::Texts;
use texts::{Stored, Work};
pub use turn::{DoctorStats, Turn};

/// How many ids one call checks: a few milliseconds of Redis.
const PIECE: usize = 100;

/// How many keys one call of the walk asks for.
const KEYS: usize = 500;

/// A check of the whole keyspace that has not ended.
pub struct Check {
    /// The gate of approvals that a repair requests again. `None` if nothing is repaired.
    repair: Option<String>,
    /// The node whose keys the walk visits, by its number, and the cursor there. `None` if the walk
    /// has ended.
    cursor: Option<(usize, u64)>,
    /// The pieces to check before the walk continues.
    pieces: VecDeque<Piece>,
    /// Whether texts that are not as a new one would be are encrypted again.
    is_rewriting: bool,
    texts: Texts,
}

enum Piece {
    Members { key: String, partition: Partition, content: Content, cursor: u64 },
    Approvals(Partition, Vec<String>),
    Agents(Partition, Vec<String>),
}

impl Check {
    /// Starts a check of the whole keyspace.
    ///
    /// * `repair`: the gate of approvals that a repair requests again, by [`super::Gate::lines`].
    ///   `None` if nothing is repaired.
    pub fn new(repair: Option<String>) -> Self {
        let is_rewriting = repair.is_some();
        let texts = Texts::new();
        Self { repair, cursor: Some((0, 0)), pieces: VecDeque::new(), is_rewriting, texts }
    }

    /// Starts a check in the background, which repairs nothing, but puts texts under the current
    /// key.
    pub fn in_background() -> Self {
        Self { is_rewriting: true, ..Self::new(None) }
    }

    /// Returns how many texts the check has found under each key so far.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Returns whether the check has ended.
    pub fn is_over(&self) -> bool {
        self.cursor.is_none() && self.pieces.is_empty()
    }
}

impl Store {
    /// Checks the next piece and returns what is wrong there. Another index may lead to the same
    /// finding again. After an error the next call checks the same piece again.
    pub async fn check(&self, check: &mut Check) -> Result<Vec<Finding>, Error> {
        let is_repair = check.repair.is_some();
        let work = Work { is_rewriting: check.is_rewriting, is_repair };
        let Some(piece) = check.pieces.front() else {
            return self.walk_on(check).await;
        };
        let mut texts = Texts::new();
        let (found, next) = match piece {
            Piece::Members { key, partition, content, cursor } => {
                let (next, members, stored) =
                    self.members(*partition, key, content, *cursor).await?;
                let mut found = self.check_texts(*partition, &stored, work, &mut texts).await?;
                for piece in pieces(content, &members) {
                    found.extend(
                        self.check_members(
                            check.repair.as_deref(),
                            *partition,
                            key,
                            content,
                            piece,
                        )
                        .await?,
                    );
                }
                (found, (next > 0).then_some(next))
            }
            Piece::Approvals(partition, ids) => {
                let mut found = self.check_texts_of(*partition, ids, work, &mut texts).await?;
                let (script, repair) = (&script::DOCTOR_APPROVALS, check.repair.as_deref());
                found.extend(self.call(script, *partition, repair, &[], ids).await?);
                (found, None)
            }
            Piece::Agents(partition, agents) => (
                self.call(&script::DOCTOR_AGENTS, *partition, check.repair.as_deref(), &[], agents)
                    .await?,
                None,
            ),
        };
        match (check.pieces.front_mut(), next) {
            (Some(Piece::Members { cursor, .. }), Some(next)) => *cursor = next,
            _ => drop(check.pieces.pop_front()),
        }
        for (key, count) in texts {
            *check.texts.entry(key).or_default() += count;
        }
        Ok(found)
    }

    /// Reads the next keys and adds the pieces that they lead to.
    async fn walk_on(&self, check: &mut Check) -> Result<Vec<Finding>, Error> {
        let Some((number, cursor)) = check.cursor else { return Ok(Vec::new()) };
        let nodes = self.nodes.all();
        let Some(node) = nodes.get(number) else {
            check.cursor = None;
            return Ok(Vec::new());
        };
        let mut cmd = redis::cmd("SCAN");
        cmd.arg(cursor).arg("MATCH").arg(format!("{}*", self.keys().root())).arg("COUNT").arg(KEYS);
        let (next, keys): (u64, Vec<String>) = self.query_node("doctor", node, &cmd).await?;
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("TYPE").arg(key);
        }
        let types: Vec<String> = if keys.is_empty() {
            Vec::new()
        } else {
            self.query_node("doctor", node, &pipe).await?
        };
        let is_repair = check.repair.is_some();
        let mut findings = Vec::new();
        if cursor == 0 {
            findings = self.server_findings(node, is_repair).await?;
        }
        let mut sorted = Sorted::default();
        for (key, redis_type) in keys.into_iter().zip(types) {
            sorted.add(self.keys(), key, &redis_type, |partition| self.has(partition));
        }
        check.cursor = Some(if next > 0 { (number, next) } else { (number + 1, 0) });
        check.cursor = check.cursor.filter(|(number, _)| *number < nodes.len());
        check.pieces.extend(sorted.pieces());
        let repair = Repair::impossible_if(is_repair);
        let strange = sorted.strange.into_iter();
        findings.extend(strange.map(|(key, problem)| Finding::new(key, problem, repair)));
        Ok(findings)
    }

    /// Returns the cursor of the members after the next ones (0 if there are none), the next members,
    /// and the texts among their values.
    async fn members(
        &self,
        partition: Partition,
        key: &str,
        content: &Content,
        cursor: u64,
    ) -> Result<(u64, Vec<String>, Vec<Stored>), Error> {
        let (command, width) = if *content == Content::Paused {
            ("SSCAN", 1)
        } else if is_hash(self.keys(), key) {
            ("HSCAN", 2)
        } else {
            ("ZSCAN", 2)
        };
        let mut cmd = redis::cmd(command);
        cmd.arg(key).arg(cursor).arg("COUNT").arg(PIECE);
        let (next, flat): (u64, Vec<String>) = self.query_cold("doctor", partition, &cmd).await?;
        let hash = key.strip_prefix(&self.keys().prefix(partition)).unwrap_or_default();
        let texts = Stored::all_in(hash, &flat);
        // A scan may return a member more than once.
        let members: BTreeSet<_> = flat.into_iter().step_by(width).collect();
        Ok((next, members.into_iter().collect(), texts))
    }

    async fn check_members(
        &self,
        repair: Option<&str>,
        partition: Partition,
        key: &str,
        content: &Content,
        members: &[String],
    ) -> Result<Vec<Finding>, Error> {
        match content {
            Content::Children(parent) => {
                let parent = [parent.to_string()];
                self.call(&script::DOCTOR_CHILDREN, partition, repair, &parent, members).await
            }
            Content::Index => {
                self.call(&script::DOCTOR_INDEX, partition, repair, &[], members).await
            }
            Content::Approvals => {
                self.call(&script::DOCTOR_APPROVALS, partition, repair, &[], members).await
            }
            Content::Paused => {
                self.call(&script::DOCTOR_AGENTS, partition, repair, &[], members).await
            }
            // The last three are never walked over by their members.
            Content::Tasks
            | Content::TasksOf(_)
            | Content::Approval(_)
            | Content::Sessions(_)
            | Content::Other => {
                let before = [repair.unwrap_or_default().to_owned(), key.to_owned()];
                let mut rows = Vec::with_capacity(members.len() * 3);
                let digests = if repair.is_some() {
                    self.digests(partition, members).await?
                } else {
                    HashMap::new()
                };
                for id in members {
                    let spare =
                        repair.map(|_| ApprovalId::new(partition).to_string()).unwrap_or_default();
                    rows.extend([id.clone(), spare, digests.get(id).cloned().unwrap_or_default()]);
                }
                self.call(&script::DOCTOR_TASKS, partition, repair, &before, &rows).await
            }
        }
    }

    async fn call(
        &self,
        script: &Script,
        partition: Partition,
        repair: Option<&str>,
        before: &[String],
        members: &[String],
    ) -> Result<Vec<Finding>, Error> {
        let mut args = args();
        args.arg(u8::from(repair.is_some())).arg(before).arg(members);
        match self.run_cold::<Vec<Vec<String>>>(script, partition, args).await {
            Ok(found) => found.iter().map(|found| finding(found)).collect(),
            Err(error) => uncheckable(error, partition, repair.is_some()).map(|found| vec![found]),
        }
    }
}

/// Returns the finding for a script that failed on what it read, such as a key of another type. Any
/// other error stays an error.
pub(super) fn uncheckable(
    error: Error,
    partition: Partition,
    is_repair: bool,
) -> Result<Finding, Error> {
    let Error::Corrupt { what } = error else { return Err(error) };
    let repair = Repair::impossible_if(is_repair);
    let problem = Problem::Unchecked { error: what };
    Ok(Finding::new(format!("partition {partition}"), problem, repair))
}

/// Returns these members in pieces of at most [`PIECE`] ids, but a group of tasks stays whole.
fn pieces<'m>(content: &Content, members: &'m [String]) -> Vec<&'m [String]> {
    let size = |member: &String| match content {
        Content::Index => member.split(' ').count(),
        _ => 1,
    };
    let mut pieces = Vec::new();
    let (mut start, mut ids) = (0, 0);
    for (nth, member) in members.iter().enumerate() {
        let more = size(member);
        if nth > start && ids + more > PIECE {
            pieces.push(&members[start..nth]);
            (start, ids) = (nth, 0);
        }
        ids += more;
    }
    if start < members.len() {
        pieces.push(&members[start..]);
    }
    pieces
}

fn is_hash(keys: &Keys, key: &str) -> bool {
    keyspace::read(keys, key).is_some_and(|(_, redis_type, _)| redis_type == "hash")
}

/// Reads a finding of a script.
fn finding(words: &[String]) -> Result<Finding, Error> {
    let unknown = || Error::corrupt(format!("an answer {words:?} of the doctor"));
    let [subject, kind, repair, arguments @ ..] = words else { return Err(unknown()) };
    let problem = Problem::read(kind, arguments).ok_or_else(unknown)?;
    let repair = match repair.as_str() {
        "DONE" => Repair::Done,
        "IMPOSSIBLE" => Repair::Impossible,
        _ => Repair::NotTried,
    };
    Ok(Finding::new(subject, problem, repair))
}

/// Keys, grouped by the check that they need.
#[derive(Default)]
struct Sorted {
    /// Keys that do not belong here, and why.
    strange: Vec<(String, Problem)>,
    members: Vec<Piece>,
    approvals: Vec<(Partition, Vec<String>)>,
    agents: Vec<(Partition, BTreeSet<String>)>,
}

impl Sorted {
    fn add(
        &mut self,
        keys: &Keys,
        key: String,
        redis_type: &str,
        is_ours: impl Fn(Partition) -> bool,
    ) {
        let known = keyspace::read(keys, &key).filter(|(partition, ..)| is_ours(*partition));
        let Some((partition, expected, content)) = known else {
            return self.strange.push((key, Problem::KeyUnknown {}));
        };
        match redis_type {
            // The key is gone already.
            "none" => return,
            found if found != expected => {
                let (found, expected) = (found.to_owned(), expected.to_owned());
                return self.strange.push((key, Problem::KeyType { found, expected }));
            }
            _ => {}
        }
        match &content {
            Content::Approval(id) => {
                return of(&mut self.approvals, partition).push(id.to_string());
            }
            Content::Sessions(agent) => {
                of(&mut self.agents, partition).insert(agent.clone());
                return;
            }
            Content::Other => return,
            Content::TasksOf(agent) => drop(of(&mut self.agents, partition).insert(agent.clone())),
            Content::Tasks
            | Content::Index
            | Content::Children(_)
            | Content::Approvals
            | Content::Paused => {}
        }
        self.members.push(Piece::Members { key, partition, content, cursor: 0 });
    }

    /// Returns the pieces, agents first: the check of a task depends on which agents are known.
    fn pieces(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (partition, names) in self.agents.drain(..) {
            let names: Vec<_> = names.into_iter().collect();
            pieces
                .extend(names.chunks(PIECE).map(|names| Piece::Agents(partition, names.to_vec())));
        }
        pieces.append(&mut self.members);
        for (partition, ids) in self.approvals.drain(..) {
            pieces.extend(ids.chunks(PIECE).map(|ids| Piece::Approvals(partition, ids.to_vec())));
        }
        pieces
    }
}

fn of<T: Default>(lists: &mut Vec<(Partition, T)>, partition: Partition) -> &mut T {
    let nth = lists.iter().position(|(known, _)| *known == partition).unwrap_or_else(|| {
        lists.push((partition, T::default()));
        lists.len() - 1
    });
    &mut lists[nth].1
}
