-- lease: leases tasks to agents, and ends failed attempts.
-- Needs  move

-- The lease of the call: how long, ms, and its holder.
local lease_ms, lease_holder

-- Returns a new status with the lease of the call.
local function hold_status(status)
  local lease_until = NOW + lease_ms
  status.attempt, status.holder = TEXT[status.attempt + 1], lease_holder
  if not is_set(status.sla, STARTED) then
    status.sla = status.sla + STARTED
  end
  if status.timeout ~= '-' then
    lease_until = math.min(lease_until, NOW + status.timeout)
    status.limit = TEXT[NOW + status.timeout]
  end
  status.lease = TEXT[lease_until]
  look_at(status.agent, lease_until)
end

-- Leases the task by `verb`. Returns until when, ms as text.
local function hold(task, verb, options)
  local is_first = not is_set(task.status.sla, STARTED)
  if is_first and is_due(task) then
    announce(task)
    set_timer(task)
  end
  local step = move(task, verb, options, hold_status)
  if is_first then
    note_first(task, step)
  end
  return step.score
end

-- Returns the wait before attempt number `failures` + 1, ms. `waits` has one for each number of
-- failures, joined by commas.
local function wait_after(failures, waits)
  local nth, wait = 0, nil
  for text in string.gmatch(waits, '%d+') do
    nth, wait = nth + 1, text
    if nth == failures then
      break
    end
  end
  return tonumber(wait)
end

-- Ends a failed attempt: the next one follows after `wait` ms (nil: by `waits`), or the task fails.
local function fail(task, verb, options, is_retryable, wait, waits)
  local status = task.status
  local failures = status.retries + 1
  if is_retryable and failures <= tonumber(status.max_retries) then
    status = edit(task)
    status.retries, status.due = TEXT[failures], TEXT[NOW + (wait or wait_after(failures, waits))]
    options.to, options.event = 'scheduled', 'task.retrying'
    move(task, verb == 'reap' and verb or 'retry', options)
  else
    options.to, options.event = 'failed', 'task.failed'
    move(task, verb, options)
  end
end
