-- prune: deletes tasks that ended long ago, with all that belongs to them.
-- Needs  finish
--
-- ARGV[5]  how many at most, for each final state
-- ARGV[6]  for how long to keep them, ms
-- ARGV[7]  for how long to keep the event log, ms
-- ARGV[8]  for how long to keep the audit log, ms
--
-- Returns  how many tasks and entries of the audit log were deleted
local pruned = {}
for state in pairs(RULES.prune.from) do
  local old = redis.call('ZRANGEBYSCORE', P .. state, '-inf', NOW - ARGV[6], 'LIMIT', 0, ARGV[5])
  local tasks = #old > 0 and fetch(old) or {}
  for nth, id in ipairs(old) do
    append(gone, P .. state, id)
    local task = tasks[nth]
    if task then
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
        append(gone, P .. 'children:' .. parent, id)
      end
    end
    pruned[#pruned + 1] = id
  end
end
if #pruned > 0 then
  for _, hash in ipairs({ 'records', 'specs', 'results', 'progress' }) do
    write('HDEL', P .. hash, pruned)
  end
  write('ZREM', P .. 'tasks', pruned)
end
-- Deletes only whole nodes of the stream, which is cheap: the log keeps up to a hundred entries
-- more.
write('XTRIM', P .. 'events', { 'MINID', '~', TEXT[NOW - ARGV[7]] })
trim(logged())
local unneeded = {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'marks', 0, ARGV[5] - 1)) do
  if tonumber(string.match(id, '^%d+')) < NOW - ARGV[7] then
    unneeded[#unneeded + 1] = id
  end
end
if #unneeded > 0 then
  write('ZREM', P .. 'marks', unneeded)
end
-- The rest of the audit log still proves which entry it follows.
local old = redis.call('XRANGE', P .. 'audit', '-', TEXT[NOW - ARGV[8]], 'COUNT', ARGV[5])
if #old > 0 then
  local ms, nth = string.match(old[#old][1], '^(%d+)-(%d+)$')
  local newest = {}
  for i = 1, #old[#old][2], 2 do
    newest[old[#old][2][i]] = old[#old][2][i + 1]
  end
  write('HSET', P .. 'audit:head', { 'trimmed', newest.sequence, 'trimmed_hash', newest.hash })
  write('XTRIM', P .. 'audit', { 'MINID', '=', ms .. '-' .. TEXT[nth + 1] })
end
finish()
return #pruned + #old
