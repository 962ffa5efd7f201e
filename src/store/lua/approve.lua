-- approve: an approver approves; with the last approval that the quorum needs the task continues.
-- Needs  finish, decide, audit
--
-- The engine has checked the caller's right to decide, against the approval at a revision.
--
-- ARGV[5]    approval id
-- ARGV[6]    revision
-- ARGV[7]    comment, a JSON string, or ''
-- ARGV[8]    spec with another payload, or ''
-- ARGV[9]    digest of the content with that
-- ARGV[10]   the payload as it was submitted, JSON
-- ARGV[11]   the differences, JSON
-- ARGV[12]   digest of the other payload alone
-- ARGV[13…]  2; see audit.lua
--
-- Returns  `OK <task id>`, `VOTED <task id>` (the quorum needs more approvals), `UNKNOWN`, `STALE`
--          (the approval has changed since that revision), `ILLEGAL <state>` or
--          `DECIDED <status> <when, ms> <by>`
-- How many bytes of authors an approval keeps. Further authors count as authors of every payload.
local MOST_AUTHORS = 16384

-- Returns the authors with one more. Each line has the digest of a payload (`*` for every one) and
-- its author.
local function with_author(authors, payload)
  local line = (#authors < MOST_AUTHORS and payload or '*') .. ' ' .. ACTOR .. '\n'
  return string.find(authors, line, 1, true) and authors or authors .. line
end

local f, task, refusal = undecided(ARGV[5], 'approve', 'approved')
if refusal then
  return refusal
end
local g = read_gate(f.gate)
local is_edit = ARGV[8] ~= ''
if IS_AGAIN then
  local has_voted = string.find(f.votes, '"by":"' .. ACTOR .. '"', 1, true)
  local has_edited = f.digest == ARGV[9] and f.edited_by == ACTOR
  if is_edit and has_edited or not is_edit and has_voted then
    -- The first call was recorded, and its answer was lost.
    return 'VOTED ' .. task.id
  end
end
if is_stale(f, ARGV[6]) then
  return 'STALE'
end
local subject, comment = 'approval:' .. f.id, given(ARGV[7])

if is_edit then
  local status = edit(task)
  status.version = TEXT[status.version + 1]
  write('HSET', P .. 'specs', { task.id, ARGV[8] })
  audit('edit', subject, { task_id = task.id, from = f.digest, to = ARGV[9] })
  -- Earlier votes were for other content.
  f.digest, f.votes, f.edited_by = ARGV[9], '[]', ACTOR
  f.seal, f.original, f.changes = seal(task, f.digest, ARGV[8]), f.original or ARGV[10], ARGV[11]
  f.authors = with_author(f.authors or '', ARGV[12])
  amend(f, { 'digest', f.digest, 'votes', f.votes, 'edited_by', ACTOR, 'seal', f.seal,
    'original', f.original, 'changes', f.changes, 'authors', f.authors })
  move(task, 'edit', { reason = comment, more = approval_json(task, f, g) })
end

-- With four eyes the author of the payload cannot be the second approver.
if not is_edit or g.four_eyes == '0' then
  local earlier = f.votes == '[]' and '[' or string.sub(f.votes, 1, -2) .. ','
  f.votes = earlier .. '{"by":"' .. ACTOR .. '","at":"' .. iso(NOW)
    .. '","comment":' .. (comment or 'null') .. '}]'
  f.yes = (not is_edit and tonumber(f.yes) or 0) + 1
else
  f.yes = 0
end
amend(f, { 'votes', f.votes, 'yes', TEXT[f.yes] })
local options = { reason = comment, more = approval_json(task, f, g) .. decision_json(comment) }
local details = { task_id = task.id, digest = f.digest, comment = plain(ARGV[7]) }
if f.yes < tonumber(g.quorum) then
  if f.yes > 0 then
    audit('vote', subject, details)
    move(task, 'vote', options)
  end
  finish()
  return 'VOTED ' .. task.id
end
audit('approve', subject, details)
close(f.id, 'approved', comment)
if rank(task) == PARKED then
  set_times(task, nil, nil, now)
end
options.to = f.kind == 'ask' and 'assigned' or waiting_state(task.status)
move(task, 'approve', options)
finish()
return 'OK ' .. task.id
