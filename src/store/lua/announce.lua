-- announce: the events of SLA thresholds that have passed.
-- Needs  thresholds, events, time
--
-- A plan has the status that a task gets, and the kind and the rest of the payload of each event,
-- in turn. Tasks with the same status and the same SLA share one.

-- How long after its threshold an event counts as late, ms.
local LATE = 1000

-- Returns the payload of a threshold's event, and the deadline as text.
local function threshold_json(task, p, threshold, at, is_late)
  local status, deadline = task.status, p[threshold.clock]
  local approval = STATES[status.state].is_human and '"' .. status.approval .. '"' or 'null'
  local text = iso(deadline)
  return ',"clock":"' .. threshold.clock .. '","deadline":"' .. text
    .. '","target_ms":' .. TEXT[math.max(0, deadline - p.begin)]
    .. ',"threshold":' .. (threshold.verb == 'warn' and TEXT[p.percent] or '100')
    .. ',"due_at":"' .. (at == deadline and text or iso(at)) .. '","late":' .. tostring(is_late)
    .. ',"approval_id":' .. approval, text
end

-- Adds to a plan the event of a threshold, and the notifications of its rules.
local function plan_one(plan, task, p, threshold, at)
  local is_late = NOW - at > LATE
  local more, deadline = threshold_json(task, p, threshold, at, is_late)
  local what = 'it was to ' .. threshold.clock .. ' by ' .. deadline
  if threshold.verb == 'warn' then
    what = TEXT[p.percent] .. ' % of the time to ' .. threshold.clock .. ' has passed'
  end
  local function add(verb, reason, rest)
    local status = plan.status
    local kind = kind_of(status, verb, status.state, '"' .. reason .. '"', nil, ORCHESTRATOR)
    push(plan, kind, rest)
  end
  plan.status.sla = plan.status.sla + threshold.bit
  add(threshold.verb, what .. (is_late and ', announced late' or ''), more)
  each_action(p, threshold, function(action, argument)
    if action == 'notify' then
      add('notify', argument .. ': ' .. what, more .. ',"to":"' .. argument .. '"')
    end
  end)
end

-- Returns whether a threshold with its time comes before another.
local function by_time(one, other)
  return one[1] < other[1] or one[1] == other[1] and one[2].bit < other[2].bit
end

-- Returns what the thresholds that have passed do to a task: the status that it gets, and the kind
-- and the payload of each event, in the order of their times. `false` if none has passed.
local function plan_of(task, p)
  local passed = {}
  for _, threshold in ipairs(THRESHOLDS) do
    local at = announced_at(task, p, threshold)
    if at and at <= NOW then
      passed[#passed + 1] = { at, threshold }
    end
  end
  if #passed == 0 then
    return false
  end
  table.sort(passed, by_time)
  local plan = { status = derive(task.status) }
  plan.status.text = false
  for _, pair in ipairs(passed) do
    plan_one(plan, task, p, pair[2], pair[1])
  end
  return plan
end

-- Adds the events of all thresholds that have passed. Tasks with the same status and SLA share a
-- plan, unless their clocks have stopped at times of their own.
local function announce(task)
  local p, status = promise(task), task.status
  local is_shared = not stops(task, p)
  local plan = p.plans[status]
  if plan == nil or not is_shared then
    plan = plan_of(task, p)
    p.plans[status] = is_shared and plan or nil
  end
  if plan then
    task.status = plan.status
    for nth = 1, #plan, 2 do
      note(task, plan[nth], plan[nth + 1])
    end
  end
end
