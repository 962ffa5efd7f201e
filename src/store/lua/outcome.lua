-- outcome: ends attempts as their agents report: completes, fails or releases them.
--
-- A failed attempt is followed by another one after a back-off, or was the last. A released task
-- returns to the place in the subject that it had.
--
-- ARGV[5]   waits by number of failures, ms, joined by commas; '' if no attempt failed
-- ARGV[6]   rank of the caller's role
-- ARGV[7…]  6 for each task: verb, id, attempt or '', holder, digest of the report (see
--           barred_report), result: JSON, or ''; and 3 more for `fail`: error: a JSON string, 1 if
--           another attempt makes sense else 0, wait before it in ms or ''
--
-- Returns  for each task `OK <state>`, `REPEATED <state>` (of the same report), `MISMATCH` (another
--          report ended the attempt), `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`, `LEASE <newest
--          attempt>` or `HOLDER <caller that took it, or ->`
local answers, results = {}, {}

local function end_attempt(task, verb, i)
  if verb == 'complete' then
    move(task, verb, 'completed', NOW)
  elseif verb == 'release' then
    move(task, verb, 'assigned', task.rank)
  else
    fail(task, verb, ARGV[i + 6], ARGV[i + 7] == '1', tonumber(ARGV[i + 8]), ARGV[5])
    note_end(task, ARGV[6])
  end
end

-- The ids of the tasks, and where the row of each begins.
local ids, rows, i = {}, {}, 7
while ARGV[i] do
  local nth = #ids + 1
  ids[nth], rows[nth] = ARGV[i + 1], i
  i = i + (ARGV[i] == 'fail' and 9 or 6)
end
fetch(ids)
for nth, id in ipairs(ids) do
  local row, task = rows[nth], known[id]
  local verb, report, result = ARGV[row], ARGV[row + 4], ARGV[row + 5]
  local answer = barred_report(task, verb, ARGV[row + 2], ARGV[row + 3], report)
  if not answer then
    task.report = report
    end_attempt(task, verb, row)
    if result ~= '' then
      local size = #results
      results[size + 1], results[size + 2] = id, result
    end
    answer = 'OK ' .. task.state
  end
  answers[nth] = answer
end
if #results > 0 then
  write('HSET', P .. 'results', results)
end
finish()
return answers
