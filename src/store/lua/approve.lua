-- approve: a human says yes; with the last yes that the quorum needs, the task may go on.
--
-- ARGV[5]   approval id
-- ARGV[6]   comment, a JSON string, or ''
-- ARGV[7]   digest of what the caller saw
-- ARGV[8]   level at which the caller is one of those who may decide
-- ARGV[9]   spec with another payload, or ''
-- ARGV[10]  digest of that
-- ARGV[11]  the payload as it was submitted, JSON
-- ARGV[12]  what differs from that, JSON
-- ARGV[13]  where the caller is, or ''
--
-- Returns  `OK <task id>`, `VOTED <task id>` (more must say yes), `UNKNOWN`, `OWN` (the caller submitted the task or
--          asked), `TWICE` (the caller said yes before), `LEVEL` (others may decide by now), `CHANGED <digest>` (of what
--          there is to decide by now), `ILLEGAL <state>` or `DECIDED <status> <when, ms> <by>`
local f, task, refusal = undecided(ARGV[5], 'approve', 'approved')
if refusal then
  return refusal
end
local g = read_gate(f.gate)
local has_voted = string.find(f.votes, '"by":"' .. ACTOR .. '"', 1, true)
local is_edit = ARGV[9] ~= ''
if IS_AGAIN and (is_edit and f.digest == ARGV[10] and f.edited_by == ACTOR or not is_edit and has_voted) then
  -- The first of these calls was heard, and its answer was lost.
  return 'VOTED ' .. task.id
end
refusal = misjudged(f, ARGV[7], ARGV[8]) or has_voted and not is_edit and 'TWICE'
if refusal then
  return refusal
end
local comment = ARGV[6] ~= '' and ARGV[6] or nil

if is_edit then
  local d = detail(task)
  d.version = TEXT[d.version + 1]
  write('HSET', P .. 'specs', { task.id, ARGV[9] })
  -- Who said yes before said it to something else.
  f.digest, f.votes, f.edited_by = ARGV[10], '[]', ACTOR
  f.seal, f.original, f.changes = seal(task, f.digest, ARGV[9]), f.original or ARGV[11], ARGV[12]
  write('HSET', P .. 'approval:' .. f.id, { 'digest', f.digest, 'votes', f.votes, 'edited_by', ACTOR,
    'seal', f.seal, 'original', f.original, 'changes', f.changes })
  audit('edit', 'approval:' .. f.id, { task_id = task.id, from = ARGV[7], to = f.digest })
  task.more = ',' .. approval_json(task, f, g)
  move(task, 'edit', task.state, nil, comment)
end

-- With four eyes, whoever wrote what will run is no second pair.
if not is_edit or g.four_eyes == '0' then
  local vote = '{"by":"' .. ACTOR .. '","at":"' .. iso(NOW) .. '","comment":' .. (comment or 'null') .. '}'
  f.votes = f.votes == '[]' and '[' .. vote .. ']' or string.sub(f.votes, 1, -2) .. ',' .. vote .. ']'
  f.yes = (not is_edit and tonumber(f.yes) or 0) + 1
else
  f.yes = 0
end
write('HSET', P .. 'approval:' .. f.id, { 'votes', f.votes, 'yes', TEXT[f.yes] })
task.more = ',' .. approval_json(task, f, g) .. decision_json(comment)
if f.yes < tonumber(g.quorum) then
  if f.yes > 0 then
    audit('vote', 'approval:' .. f.id, { task_id = task.id, digest = f.digest, comment = plain(ARGV[6]) })
    move(task, 'vote', task.state, nil, comment)
  end
  finish()
  return 'VOTED ' .. task.id
end
audit('approve', 'approval:' .. f.id, { task_id = task.id, digest = f.digest, comment = plain(ARGV[6]) })
close(f.id, 'approved', comment)
if task.rank == PARKED then
  task.rank = TEXT[NOW]
end
local due = tonumber(detail(task).due)
if f.kind == 'ask' then
  move(task, 'approve', 'assigned', task.rank, comment)
elseif due and due > NOW then
  move(task, 'approve', 'scheduled', due, comment)
else
  move(task, 'approve', 'pending', task.rank, comment)
end
finish()
return 'OK ' .. task.id
