-- rules: whether a caller may apply a verb to a task.
-- Needs  record

-- Returns the timeline of the task, each line with a line break before it.
local function timeline(task)
  local first = find(task.record, '\n', task.content, true)
  return (first and sub(task.record, first) or '') .. (task.added or '')
end

-- Returns what a change by a bulk comes to: `REPEATED <state>` if the bulk has changed the task
-- before, `CHANGED` if the task came to its state after the bulk's moment; nil if the bulk may change
-- it. The reason of each change by a bulk begins with its id.
local function barred_in(bulk, task)
  local id, moment = string.match(bulk, '^(%S+) (%S+)$')
  if find(timeline(task), '"bulk ' .. id, 1, true) then
    return 'REPEATED ' .. task.status.state
  end
  if moment ~= '-' and tonumber(since(task)) > tonumber(moment) then
    return 'CHANGED'
  end
end

-- Returns why the caller may not apply `verb` to the task; nil if it may.
--
-- bulk  nil or '' if no bulk makes the change, else the id of the bulk and the moment, ms, after which
--       the state must not have changed, or `-` if it may
local function barred(task, verb, bulk)
  if not task then
    return 'UNKNOWN'
  end
  local refusal = bulk and bulk ~= '' and barred_in(bulk, task)
  if refusal then
    return refusal
  end
  if not RULES[verb].from[task.status.state] then
    return 'ILLEGAL ' .. task.status.state
  end
end

-- Returns an iterator over the transitions of the task: when, ms; the letters of the verb and of the
-- state; the rest of the line.
local function transitions(task)
  return string.gmatch(timeline(task), '\n(%d+)(%a)(%a)([^\n]*)')
end

-- Returns when the task was accepted, ms, and who submitted it; nil if its timeline is unreadable.
local function submission_of(task)
  return string.match(timeline(task), '^\n(%d+)%a%a (%S+)')
end

-- Returns the digest of the report that ended the newest attempt, or of an approval request with
-- `?` before it; nil if there is no report.
local function newest_report(task)
  local report
  for _, letter, _, rest in transitions(task) do
    if LEASING[VERB_OF[letter]] then
      report = nil
    end
    report = string.match(rest, ' =([%w_?-]+)$') or report
  end
  return report
end

-- Returns why the caller may not report on the attempt; nil if it may.
--
-- proof   the number of the attempt, or '' for the newest; a space; what the record must have as
--         the holder: the lease as the store keeps it, or the caller
-- report  digest of a report that ends the attempt, '' of any other
local function barred_report(task, verb, proof, report)
  if not task then
    return 'UNKNOWN'
  end
  local status = task.status
  local is_held = RULES[verb].from[status.state]
  local attempt, holder = string.match(proof, '^(%S*) (%S+)$')
  local is_holder = status.holder == holder and (attempt == '' or status.attempt == attempt)
  if is_held and is_holder then
    return nil
  end
  if attempt ~= '' and not is_holder then
    -- The answer must not help a caller that guesses.
    return 'LEASE ' .. status.attempt
  end
  local reported = is_holder and report ~= '' and newest_report(task)
  if reported == report then
    return 'REPEATED ' .. status.state
  end
  -- An approval request ends the lease and has no outcome, so no other report can differ from it.
  if reported and sub(reported, 1, 1) ~= '?' then
    return 'MISMATCH'
  end
  if is_held then
    return 'HOLDER ' .. (find(status.holder, ':', 1, true) and status.holder or '-')
  end
  if RULES.cancel.to[status.state] then
    return 'CANCELLED'
  end
  if STATES[status.state].is_final or attempt == '' then
    return 'ILLEGAL ' .. status.state
  end
  return 'LEASE ' .. status.attempt
end
