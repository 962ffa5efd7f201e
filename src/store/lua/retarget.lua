-- retarget: asks other approvers, on new terms, at the request of an admin. Earlier votes no longer
-- count.
-- Needs  finish, decide, audit
--
-- The engine has checked the caller's right to do so, against the approval at a revision.
--
-- ARGV[5]   approval id
-- ARGV[6]   revision
-- ARGV[7]   the new gate; see gate.lua
-- ARGV[8]   reason, a JSON string, or ''
-- ARGV[9…]  2; see audit.lua
--
-- Returns  `OK <task id>`, `UNKNOWN`, `STALE` (the approval has changed since that revision),
--          `ILLEGAL <state>` or `DECIDED <status> <when, ms> <by>`
local f, task, refusal = undecided(ARGV[5], 'retarget')
if refusal then
  return refusal
end
if IS_AGAIN and f.gate == ARGV[7] then
  -- The first call was recorded, and its answer was lost.
  return 'OK ' .. task.id
end
if is_stale(f, ARGV[6]) then
  return 'STALE'
end
local was, g = read_gate(f.gate), read_gate(ARGV[7])
local expires_at = lasts_until(g, 0)
f.gate, f.level, f.votes, f.expires_at = ARGV[7], '0', '[]', expires_at and TEXT[expires_at] or ''
amend(f, { 'gate', f.gate, 'level', f.level, 'votes', f.votes, 'yes', '0',
  'expires_at', f.expires_at })
append(come, P .. 'approvals:pending', TEXT[expires_at or NEVER], f.id)
if g.remind ~= '-' then
  append(come, P .. 'reminders', TEXT[NOW + g.remind], f.id)
else
  append(gone, P .. 'reminders', f.id)
end
audit('retarget', 'approval:' .. f.id,
  { task_id = task.id, previous_terms = was.terms, terms = g.terms, reason = plain(ARGV[8]) })
move(task, 'retarget', { reason = ARGV[8] ~= '' and ARGV[8] or nil, more = ',' .. approval_json(task, f, g) })
finish()
return 'OK ' .. task.id
