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

-- The options of the steps of these reports.
local reported = { is_common = true, report = nil }

-- Ends the attempt of which the row begins at `i`. Returns its answer.
local function end_attempt(task, verb, report, i)
  if verb == 'fail' then
    local options = { reason = ARGV[i + 4], report = report }
    fail(task, verb, options, ARGV[i + 5] == '1', tonumber(ARGV[i + 6]), ARGV[5])
    note_end(task, ARGV[6])
    return 'OK ' .. task.status.state
  end
  reported.report = report
  local step = move(task, verb, reported)
  step.answer = step.answer or 'OK ' .. step.to
  return step.answer
end

-- The verb and the proof of a report by their text, which the tasks of a batch share.
local verbs, rest = {}, {}

local function verb_in(text)
  if not verbs[text] then
    verbs[text], rest[text] = string.match(text, '^(%S+) (.*)$')
  end
  return verbs[text], rest[text]
end

-- The ids of the tasks, and where the row of each begins.
local ids, rows, i = {}, {}, 7
while ARGV[i] do
  local nth = #ids + 1
  ids[nth], rows[nth] = ARGV[i + 1], i
  i = i + (sub(ARGV[i], 1, 5) == 'fail ' and 7 or 4)
end
for nth, task in ipairs(fetch(ids)) do
  local row = rows[nth]
  local report, result = ARGV[row + 2], ARGV[row + 3]
  local verb, proof = verb_in(ARGV[row])
  local answer = barred_report(task, verb, proof, report)
  if not answer then
    answer = end_attempt(task, verb, report, row)
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
