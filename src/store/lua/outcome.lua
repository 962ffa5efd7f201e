-- outcome: ends attempts as their agents report: completes, fails or releases them.
-- Needs  finish, lease, ranks
--
-- A failed attempt is followed by another one after a back-off, or was the last. A released task
-- returns to the place in the subject that it had.
--
-- ARGV[5]   waits by number of failures, ms, joined by commas; '' if no attempt failed
-- ARGV[6]   rank of the caller's role
-- ARGV[7…]  4 for each task: verb, attempt or '' and holder, joined by spaces (barred_report);
--           id; digest of the report; result: JSON, or ''; and 3 more for `fail`: error: a JSON
--           string, 1 if another attempt makes sense else 0, wait before it in ms or ''
--
-- Returns  for each task `OK <state>`, `REPEATED <state>` (of the same report), `MISMATCH` (another
--          report ended the attempt), `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`, `LEASE <newest
--          attempt>` or `HOLDER <caller that took it, or ->`
local answers, results = {}, {}

-- Ends the attempt of which the row begins at `i`. Returns its answer.
local function end_attempt(task, verb, report, i)
  if verb == 'fail' then
    local options = { reason = ARGV[i + 4], report = report }
    fail(task, verb, options, ARGV[i + 5] == '1', tonumber(ARGV[i + 6]), ARGV[5])
    note_end(task, ARGV[6])
    return 'OK ' .. task.status.state
  end
  local step = move(task, verb)
  task.report = report
  step.answer = step.answer or 'OK ' .. step.to
  return step.answer
end

-- The heads of rows by their text, which the tasks of a batch share: verb, proof, and the width of
-- the row.
local heads = {}

local function head_in(text)
  local verb, proof = string.match(text, '^(%S+) (.*)$')
  local head = { verb = verb, proof = proof, width = verb == 'fail' and 7 or 4 }
  heads[text] = head
  return head
end

-- Returns why the caller may not report on the attempt; nil if it may.
local function barred_by(task, head, report)
  if task and task.step then
    -- The call names the task twice.
    settle_task(task)
  end
  local verb = head.verb
  local refusal = barred_report(task, verb, head.proof, report)
  if not refusal then
    -- The next task with this status and this head has the same answer.
    task.status.proof = head
  end
  return refusal
end

-- The ids of the tasks, and where the row of each begins.
local ids, rows, i = {}, {}, 7
while ARGV[i] do
  local nth, head = #ids + 1, heads[ARGV[i]] or head_in(ARGV[i])
  ids[nth], rows[nth], i = ARGV[i + 1], i, i + head.width
end
for nth, task in ipairs(fetch(ids)) do
  local row = rows[nth]
  local head, report, result = heads[ARGV[row]], ARGV[row + 2], ARGV[row + 3]
  local is_proved = task and task.status.proof == head
  local answer = not is_proved and barred_by(task, head, report)
  if not answer then
    answer = end_attempt(task, head.verb, report, row)
    if result ~= '' then
      local size = #results
      results[size + 1], results[size + 2] = task.id, result
    end
  end
  answers[nth] = answer
end
write_all('HSET', P .. 'results', results)
finish()
return answers
