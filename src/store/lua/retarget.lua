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
begin_level(f, g, 0)
f.gate, f.votes = ARGV[7], '[]'
amend(f, { 'gate', f.gate, 'level', f.level, 'votes', f.votes, 'yes', '0',
  'expires_at', f.expires_at })
if g.remind == '-' then
  append(gone, P .. 'reminders', f.id)
end
plan_reminder(f, g)
audit('retarget', 'approval:' .. f.id,
  { task_id = task.id, previous_terms = was.terms, terms = g.terms, reason = plain(ARGV[8]) })
move(task, 'retarget', { reason = given(ARGV[8]), more = approval_json(task, f, g) })
finish()
return 'OK ' .. task.id
