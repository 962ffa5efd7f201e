//! What the calls require of their callers: a scope, calls of a class that are left, and what the
//! call concerns.

use crate::domain::call_class::CallClass;
use crate::domain::principal::Scope;

/// What a handler requires of its caller, as a type: a scope, and calls of a class that are left.
pub trait Need: Send + Sync + 'static {
    /// The scope that the caller must have.
    const SCOPE: Scope;
    /// The class of calls whose limit counts.
    const CLASS: CallClass;
    /// The class, for the API document.
    const CLASS_MARK: &'static str;
    /// What the call concerns.
    const REACH: Reach;
}

/// What a call concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What the caller sees: of one that is bound to a tenant, what belongs to that.
    Tenant,
    /// The whole installation. A caller that is bound to a tenant is refused.
    Whole,
}

/// The mark of [`Reach::Whole`], for the API document.
pub const WHOLE_MARK: &str = "reach:Whole";

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $scope:ident, $class:ident, $reach:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Need for $name {
            const SCOPE: Scope = Scope::$scope;
            const CLASS: CallClass = CallClass::$class;
            const CLASS_MARK: &'static str = concat!("class:", stringify!($class));
            const REACH: Reach = Reach::$reach;
        }
    )* };
}

needs! {
    /// The caller may read tasks, agents and SLA reports.
    TasksRead: TasksRead, Read, Tenant;
    /// The caller may read figures that are counted for all tenants together.
    FiguresRead: TasksRead, Read, Whole;
    /// The caller may submit, cancel and retry tasks.
    TasksWrite: TasksWrite, Write, Tenant;
    /// The caller may read events.
    EventsRead: EventsRead, Read, Tenant;
    /// The caller may follow events.
    EventsFollow: EventsRead, Stream, Tenant;
    /// The caller may publish events.
    EventsPublish: EventsPublish, Write, Tenant;
    /// The caller may read approvals.
    ApprovalsRead: ApprovalsRead, Read, Tenant;
    /// The caller may approve and reject approvals.
    ApprovalsDecide: ApprovalsDecide, Write, Tenant;
    /// The caller may claim tasks and report on them.
    Agent: Agent, Claim, Tenant;
    /// The caller may manage keys, and read the rules and the audit log.
    Admin: Admin, Admin, Whole;
    /// The caller may pause agents and retarget approvals.
    TenantAdmin: Admin, Admin, Tenant;
}
