-- give_back: releases the tasks of claims whose answers did not arrive: no agent knows these
-- leases.
-- Needs  finish, move
--
-- A claim that Redis runs only after this leases nothing.
--
-- ARGV[5]   agent
-- ARGV[6]   the end of a lease, ms, from which on to look, or `-inf`
-- ARGV[7]   how many tasks with that end earlier calls have looked at
-- ARGV[8]   how many leases
-- ARGV[9…]  these leases as the store keeps them, then the ids of tasks to keep
--
-- Returns  how many tasks were released; where to continue: the end of a lease, or '', and how many
--          tasks with that end were looked at
local LOOKED_AT = 200

-- How long a lease stays void, ms: much longer than a call takes to reach Redis.
local VOID = 600000

local lost, kept = {}, {}
for nth = 9, #ARGV do
  local names = nth < 9 + ARGV[8] and lost or kept
  names[ARGV[nth]] = true
end
if ARGV[6] == '-inf' then
  for seal in pairs(lost) do
    write('SET', P .. 'void:' .. seal, { '1', 'PX', VOID })
  end
end
local held = set_of('in_progress', ARGV[5])
local found =
  redis.call('ZRANGEBYSCORE', held, ARGV[6], '+inf', 'WITHSCORES', 'LIMIT', ARGV[7], LOOKED_AT)
local ids, last = {}, found[#found]
for nth = 1, #found, 2 do
  push(ids, found[nth])
end
local count, seen = 0, last == ARGV[6] and tonumber(ARGV[7]) or 0
for nth, task in ipairs(fetch(ids)) do
  local seal = task and task.status.holder
  if lost[seal] and not kept[ids[nth]] and not barred_report(task, 'release', ' ' .. seal, '') then
    move(task, 'release', { reason = '"the answer to the claim did not come"' })
    count = count + 1
  elseif found[nth * 2] == last then
    seen = seen + 1
  end
end
finish()
return { count, #ids == LOOKED_AT and last or '', seen }
