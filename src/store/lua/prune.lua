-- prune: deletes tasks that ended long ago, with all that belongs to them.
-- Needs  finish, index
--
-- ARGV[5]  how many at most, for each final state
-- ARGV[6]  for how long to keep them, ms
-- ARGV[7]  for how long to keep the event log, ms
-- ARGV[8]  for how long to keep the audit log, ms
--
-- Returns  how many tasks and entries of the audit log were deleted
local pruned = {}

-- Deletes the approvals of a task, and its places in the index and among the children of its
-- parent.
local function forget(task)
  local parent, approval = cut_content(task.record, task.content).parent, task.status.approval
  while approval and approval ~= '-' do
    local f = redis.call('HMGET', P .. 'approval:' .. approval, 'status', 'previous')
    if f[1] then
      append(gone, P .. 'approvals:' .. f[1], approval)
    end
    write('DEL', P .. 'approval:' .. approval, {})
    approval = f[2]
  end
  if parent ~= '-' then
    append(gone, P .. 'children:' .. parent, task.id)
  end
  local group, score = group_of(task.id, submission_of(task) or '')
  if group then
    leave_group(task.id, group, score)
  end
end

for state in pairs(RULES.prune.from) do
  local old = due_in(P .. state, ARGV[5], TEXT[NOW - ARGV[6]])
  for nth, task in ipairs(fetch(old)) do
    append(gone, P .. state, old[nth])
    push(pruned, old[nth])
    if task then
      forget(task)
    end
  end
end
for _, hash in ipairs({ 'records', 'specs', 'results', 'progress' }) do
  write_all('HDEL', P .. hash, pruned)
end
write_groups()
-- Deletes only whole nodes of the stream, which is cheap: the log keeps up to a hundred entries
-- more.
write('XTRIM', P .. 'events', { 'MINID', '~', TEXT[NOW - ARGV[7]] })
trim(logged())
local unneeded = {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'marks', 0, ARGV[5] - 1)) do
  if tonumber(string.match(id, '^%d+')) < NOW - ARGV[7] then
    push(unneeded, id)
  end
end
write_all('ZREM', P .. 'marks', unneeded)
-- The rest of the audit log still proves which entry it follows.
local old = redis.call('XRANGE', P .. 'audit', '-', TEXT[NOW - ARGV[8]], 'COUNT', ARGV[5])
if #old > 0 then
  local ms, nth = string.match(old[#old][1], '^(%d+)-(%d+)$')
  local newest = by_name(old[#old][2])
  write('HSET', P .. 'audit:head', { 'trimmed', newest.sequence, 'trimmed_hash', newest.hash })
  write('XTRIM', P .. 'audit', { 'MINID', '=', ms .. '-' .. TEXT[nth + 1] })
end
finish()
return #pruned + #old
