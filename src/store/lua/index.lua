-- index: the ids of all tasks by acceptance, in groups.
-- Needs  timers
--
-- A member of `tasks` is a group: ids joined by spaces. Its score is the acceptance of its first
-- task, µs; each next one counts as 1 µs later. A deleted task leaves its place empty, so that the
-- others keep theirs. Where `timers` has the score of a group, it stands for those of its tasks that
-- began with the same timer as the first.
local INDEX = 'tasks'

-- More groups than one ms can have: each of up to 40 calls makes at most 10.
local MOST_GROUPS = 500

-- The groups by their acceptance, ms, as this call found them; and the ids to take out of each.
local groups_at, leaving

local function begin_index()
  groups_at, leaving = {}, {}
end

-- Adds tasks that this call accepted, in order, with the timer that each began with.
local function index_all(ids, timers)
  for first = 1, #ids, GROUP_SIZE do
    local last = math.min(first + GROUP_SIZE - 1, #ids)
    local at, timer = now .. string.format('%03d', first - 1), timers[first]
    append(come, P .. INDEX, at, table.concat(ids, ' ', first, last))
    write_group_timer(at, timer)
    for nth = first + 1, last do
      if timers[nth] ~= timer and timers[nth] ~= NO_TIME then
        write_timer(ids[nth], timers[nth])
      end
    end
  end
end

-- Returns the ids of an entry of `timers`: those of the groups with this score, or the one task.
local function timed_by(entry)
  if not string.find(entry, '^%d+$') then
    return { entry }
  end
  local ids = {}
  for _, group in ipairs(redis.call('ZRANGEBYSCORE', P .. INDEX, entry, entry, 'LIMIT', 0,
    MOST_GROUPS)) do
    for id in string.gmatch(group, '%S+') do
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- Returns the groups of tasks that were accepted at this time, ms: pairs of a group and its score.
local function groups_of(accepted)
  local groups = groups_at[accepted]
  if not groups then
    groups = redis.call('ZRANGEBYSCORE', P .. INDEX, accepted .. '000', accepted .. '999',
      'WITHSCORES', 'LIMIT', 0, MOST_GROUPS)
    groups_at[accepted] = groups
  end
  return groups
end

-- Returns the first group in which a task that was accepted at this time stands, and its score; nil
-- if it stands in none.
local function group_of(id, accepted)
  local groups = groups_of(accepted)
  for nth = 1, #groups, 2 do
    if string.find(groups[nth], id, 1, true) then
      return groups[nth], groups[nth + 1]
    end
  end
end

-- Takes a task out of a group.
local function leave_group(id, group, score)
  list_of(leaving, group).score = score
  leaving[group][id] = true
end

-- Returns whether no other group has this score.
local function is_alone(score)
  return redis.call('ZCOUNT', P .. INDEX, score, score) == 1
end

-- Writes what is left of the groups that tasks have left.
local function write_groups()
  for group, left in pairs(leaving) do
    append(gone, P .. INDEX, group)
    local rest = string.gsub(group, '%S+', function(id)
      return left[id] and ''
    end)
    if string.find(rest, '%S') then
      append(come, P .. INDEX, left.score, rest)
    elseif is_alone(left.score) then
      unset_timers[#unset_timers + 1] = left.score
    end
  end
end
