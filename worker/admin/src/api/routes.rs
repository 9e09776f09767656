//! Every route of the API in one table: who may, what it takes, what it answers. The router, the
//! OpenAPI document and the test of roles are made from it.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post, put};

use super::{
    Shared, acts, dead, detail, edit, enqueue, fleet, flows, job, lanes, live, openapi, replays,
    search, traffic,
};
use crate::auth::Act;

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Any text.
    Text,
    /// The name of a kind, lane or tenant; several with commas between them.
    Names,
    /// Words of this list.
    States,
    /// Words of this list.
    Classes,
    /// Ids of jobs.
    Ids,
    /// An instant.
    Instant,
    /// `true` or `false`.
    Flag,
    /// A whole number from 1 to this.
    Upto(usize),
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    /// In the path; else in the query.
    pub(crate) in_path: bool,
    pub(crate) form: Form,
    pub(crate) says: &'static str,
}

/// One operation.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Who may.
    pub(crate) act: Act,
    /// Concerns all tenants.
    pub(crate) fleet: bool,
    /// Its name in the document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) params: &'static [Param],
    /// The schema of its body, and whether it must be there.
    pub(crate) body: Option<(&'static str, bool)>,
    /// The status and the schema of the good answer.
    pub(crate) answer: (u16, &'static str),
    /// Statuses of its problems, beside those of every route.
    pub(crate) problems: &'static [&'static str],
    pub(crate) handler: fn() -> MethodRouter<Arc<Shared>>,
}

impl Route {
    /// Whether it changes something.
    pub(crate) fn writes(&self) -> bool {
        self.method != "GET"
    }

    /// Written by hand in the document, since it has more to say.
    pub(crate) fn by_hand(&self) -> bool {
        matches!(self.id, "enqueueJobs" | "getJob" | "getOpenApi")
    }
}

const fn query(name: &'static str, form: Form, says: &'static str) -> Param {
    Param { name, in_path: false, form, says }
}

const fn path(name: &'static str, form: Form, says: &'static str) -> Param {
    Param { name, in_path: true, form, says }
}

const CURSOR: Param = query("cursor", Form::Text, "`next` of the page before.");
const ID: Param = path("id", Form::Ids, "The job.");

const SEARCH: &[Param] = &[
    query("id", Form::Ids, "These jobs."),
    query("kind", Form::Names, "What they run."),
    query("lane", Form::Names, "Where they wait."),
    query("state", Form::States, "Where they stand."),
    query("tenant", Form::Names, "On whose behalf."),
    query("class", Form::Classes, "Why they are dead."),
    query("since", Form::Instant, "Enqueued at or after."),
    query("until", Form::Instant, "Enqueued before."),
    query("error", Form::Text, "A part of the last error's text."),
    query("parent", Form::Ids, "Children of these jobs."),
    query("platform", Form::Text, "The platform their payload names. A page may be short then."),
    query("account", Form::Text, "The account their payload names. A page may be short then."),
    query("cursor", Form::Ids, "`next` of the page before."),
    query("limit", Form::Upto(500), "Jobs of a page; 50 unless said."),
    query("full", Form::Flag, "All that is known of each job, as `GET /v1/jobs/{id}` gives it."),
];

/// What groups of dead letters, and lists of them, are held to.
const GROUP: Param = query("group", Form::Text, "Of these groups, with commas between them.");

const DEAD: &[Param] = &[
    SEARCH[0], SEARCH[1], SEARCH[2], SEARCH[4], SEARCH[5], SEARCH[6], SEARCH[7], SEARCH[8],
    SEARCH[9], SEARCH[10], SEARCH[11], SEARCH[12], SEARCH[13], SEARCH[14], GROUP,
];

const GROUPS: &[Param] =
    &[SEARCH[1], SEARCH[2], SEARCH[4], SEARCH[5], SEARCH[6], SEARCH[7], SEARCH[8], GROUP];

/// A route that reads.
const fn read(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    params: &'static [Param],
    answer: &'static str,
    handler: fn() -> MethodRouter<Arc<Shared>>,
) -> Route {
    Route {
        method: "GET",
        path,
        act: Act::See,
        fleet: false,
        id,
        summary,
        params,
        body: None,
        answer: (200, answer),
        problems: &["400"],
        handler,
    }
}

/// A route that changes something.
const fn write(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    params: &'static [Param],
    handler: fn() -> MethodRouter<Arc<Shared>>,
) -> Route {
    Route {
        method,
        path,
        act: Act::Operate,
        fleet: false,
        id,
        summary,
        params,
        body: None,
        answer: (200, "Done"),
        problems: &["400", "404", "409", "412", "413", "415", "422"],
        handler,
    }
}

const LANE: Param = path("lane", Form::Names, "The lane.");
const PATTERN: Param = path("pattern", Form::Text, "The keys a rule is for, with `/` as `%2F`.");
const REPLAY: Param = path("id", Form::Ids, "The operation.");
const KEY: Param = path("key", Form::Text, "The key of a breaker, with `/` as `%2F`.");

/// All of them.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        act: Act::Enqueue,
        ..write("POST", "/v1/jobs", "enqueueJobs", "Enqueue one job or many.", &[], || {
            post(enqueue::enqueue)
        })
    },
    read("/v1/jobs", "searchJobs", "Search jobs, newest first.", SEARCH, "Jobs", || {
        get(search::jobs)
    }),
    Route {
        act: Act::Look,
        ..read("/v1/jobs/{id}", "getJob", "The job.", &[ID], "Job", || get(job::show))
    },
    Route {
        act: Act::Enqueue,
        answer: (202, "Cancelled"),
        body: Some(("Reason", false)),
        ..write(
            "DELETE",
            "/v1/jobs/{id}",
            "cancelJob",
            "Cancel it: at once while it waits; a running one is asked to stop.",
            &[ID],
            || delete(acts::cancel),
        )
    },
    Route {
        problems: &["400", "404"],
        ..read(
            "/v1/jobs/{id}/detail",
            "getJobDetail",
            "The job with its timeline, trace, artefacts, effects, and why it is where it is.",
            &[ID],
            "JobDetail",
            || get(detail::show),
        )
    },
    Route {
        body: Some(("Reason", false)),
        ..write(
            "POST",
            "/v1/jobs/{id}/retry",
            "retryJob",
            "Put a dead letter back among the available, or wake the key of a parked job.",
            &[ID],
            || post(acts::retry),
        )
    },
    Route {
        body: Some(("Reason", false)),
        ..write(
            "POST",
            "/v1/jobs/{id}/run-now",
            "runJobNow",
            "A scheduled or retryable job is due now, whatever its moment was.",
            &[ID],
            || post(acts::run_now),
        )
    },
    Route {
        body: Some(("Reason", false)),
        ..write(
            "POST",
            "/v1/jobs/{id}/run-again",
            "runJobAgain",
            "Enqueue a finished job anew, with a trace back to it.",
            &[ID],
            || post(acts::again),
        )
    },
    Route {
        problems: &["400", "404"],
        ..read(
            "/v1/flows/{id}",
            "getFlow",
            "The whole tree of jobs that this one belongs to.",
            &[ID],
            "FlowTree",
            || get(flows::show),
        )
    },
    read(
        "/v1/lanes",
        "listLanes",
        "Lanes: what may run, what waits and for what.",
        &[],
        "Lanes",
        || get(lanes::list),
    ),
    Route {
        problems: &["400", "404"],
        ..read("/v1/lanes/{lane}", "getLane", "One lane.", &[LANE], "Lane", || get(lanes::show))
    },
    Route {
        fleet: true,
        body: Some(("NeededReason", true)),
        ..write(
            "PUT",
            "/v1/lanes/{lane}/pause",
            "pauseLane",
            "Give out no job of this lane until it is resumed.",
            &[LANE],
            || put(lanes::pause),
        )
    },
    Route {
        fleet: true,
        ..write(
            "DELETE",
            "/v1/lanes/{lane}/pause",
            "resumeLane",
            "Give out its jobs again.",
            &[LANE],
            || delete(lanes::resume),
        )
    },
    Route {
        fleet: true,
        ..read("/v1/workers", "listWorkers", "Workers seen lately.", &[], "Workers", || {
            get(fleet::workers)
        })
    },
    Route {
        fleet: true,
        answer: (202, "Done"),
        ..write(
            "POST",
            "/v1/workers/{id}/drain",
            "drainWorker",
            "Ask a worker to claim no more and to end once its jobs have.",
            &[path("id", Form::Text, "The worker.")],
            || post(fleet::drain),
        )
    },
    read(
        "/v1/schedules",
        "listSchedules",
        "Jobs that come by the clock.",
        &[],
        "Schedules",
        || get(fleet::schedules),
    ),
    read("/v1/dead", "searchDead", "Search dead letters, newest first.", DEAD, "Jobs", || {
        get(search::dead)
    }),
    read(
        "/v1/dead/groups",
        "listDeadGroups",
        "Dead letters by what they died of, most frequent first.",
        GROUPS,
        "DeadGroups",
        || get(dead::groups),
    ),
    Route {
        body: Some(("Back", true)),
        ..write(
            "POST",
            "/v1/dead/replay",
            "replayDead",
            "Put a few dead letters back at once, the oldest first. For many: an operation.",
            &[],
            || post(dead::replay),
        )
    },
    Route {
        body: Some(("Edit", true)),
        ..write(
            "PUT",
            "/v1/dead/{id}/payload",
            "editDead",
            "Give a dead letter another payload, checked as at an enqueue; tells what is different.",
            &[ID],
            || put(edit::edit),
        )
    },
    Route {
        body: Some(("FoundWord", true)),
        ..write(
            "POST",
            "/v1/dead/{id}/found",
            "foundDead",
            "Put one of unknown outcome back, with a person's word on whether its effect happened.",
            &[ID],
            || post(edit::found),
        )
    },
    Route {
        body: Some(("Meant", true)),
        ..write(
            "POST",
            "/v1/dead/discard",
            "discardDead",
            "Put dead letters aside: they become cancelled. Wants a reason and the number meant.",
            &[],
            || post(dead::discard),
        )
    },
    Route {
        act: Act::Administer,
        body: Some(("Meant", true)),
        ..write(
            "POST",
            "/v1/dead/purge",
            "purgeDead",
            "Delete dead letters for good. Wants a reason and the number meant.",
            &[],
            || post(dead::purge),
        )
    },
    read("/v1/replays", "listReplays", "Replay operations, newest first.", &[], "Replays", || {
        get(replays::list)
    }),
    Route {
        problems: &["400", "404"],
        ..read("/v1/replays/{id}", "getReplay", "One of them.", &[REPLAY], "Replay", || {
            get(replays::show)
        })
    },
    Route {
        body: Some(("ReplayRequest", true)),
        answer: (201, "Replay"),
        ..write(
            "POST",
            "/v1/replays",
            "createReplay",
            "Put many dead letters back, at a pace; with dry_run, only tell what that would do.",
            &[query("dry_run", Form::Flag, "Only tell.")],
            || post(replays::create),
        )
    },
    Route {
        body: Some(("NeededReason", true)),
        answer: (200, "Replay"),
        ..write(
            "POST",
            "/v1/replays/{id}/pause",
            "pauseReplay",
            "Stop putting back.",
            &[REPLAY],
            || post(replays::pause),
        )
    },
    Route {
        body: Some(("NeededReason", true)),
        answer: (200, "Replay"),
        ..write("POST", "/v1/replays/{id}/resume", "resumeReplay", "Go on.", &[REPLAY], || {
            post(replays::resume)
        })
    },
    Route {
        body: Some(("NeededReason", true)),
        answer: (200, "Replay"),
        ..write(
            "POST",
            "/v1/replays/{id}/cancel",
            "cancelReplay",
            "End it: what has not gone back stays dead.",
            &[REPLAY],
            || post(replays::cancel),
        )
    },
    Route {
        fleet: true,
        ..read(
            "/v1/limits",
            "listLimits",
            "Rules, and the keys used lately.",
            &[],
            "Limits",
            || get(traffic::limits),
        )
    },
    Route {
        fleet: true,
        problems: &["400", "404"],
        ..read("/v1/limits/{pattern}", "getLimit", "One rule.", &[PATTERN], "Rule", || {
            get(traffic::limit)
        })
    },
    Route {
        act: Act::Administer,
        fleet: true,
        body: Some(("Quotas", true)),
        ..write(
            "PUT",
            "/v1/limits/{pattern}",
            "setLimit",
            "Set the quotas of a pattern for the whole fleet.",
            &[PATTERN],
            || put(traffic::set_limit),
        )
    },
    Route {
        act: Act::Administer,
        fleet: true,
        ..write(
            "DELETE",
            "/v1/limits/{pattern}",
            "unsetLimit",
            "Let what the configuration says of the pattern hold again.",
            &[PATTERN],
            || delete(traffic::unset_limit),
        )
    },
    Route {
        fleet: true,
        ..read(
            "/v1/breakers",
            "listBreakers",
            "Breakers that had trouble.",
            &[],
            "Breakers",
            || get(traffic::breakers),
        )
    },
    Route {
        fleet: true,
        body: Some(("Turn", true)),
        ..write(
            "PUT",
            "/v1/breakers/{key}",
            "turnBreaker",
            "Open or close a breaker by hand.",
            &[KEY],
            || put(traffic::turn),
        )
    },
    read(
        "/v1/accounts",
        "listAccounts",
        "Accounts on platforms and how their tokens are; no secret of them.",
        &[
            query("tenant", Form::Names, "Of this tenant."),
            query("platform", Form::Text, "On this platform. A page may be short then."),
            CURSOR,
            query("limit", Form::Upto(500), "Accounts of a page; 100 unless said."),
        ],
        "Accounts",
        || get(fleet::accounts),
    ),
    read("/v1/overview", "getOverview", "The fleet at a glance.", &[], "Overview", || {
        get(live::overview)
    }),
    Route {
        fleet: true,
        ..read(
            "/v1/glance",
            "getGlance",
            "What needs somebody, lanes, workers, what is held back: all that `flotilla top` shows.",
            &[],
            "Glance",
            || get(live::glance),
        )
    },
    read(
        "/v1/events",
        "watchOverview",
        "The overview as server-sent events: at first, and whenever it changes.",
        &[],
        "Events",
        || get(live::events),
    ),
    Route {
        act: Act::Operate,
        ..read(
            "/v1/audit",
            "listAudit",
            "Who changed what, newest first.",
            &[CURSOR, query("limit", Form::Upto(200), "Entries of a page; 50 unless said.")],
            "Audit",
            || get(fleet::audit),
        )
    },
    Route {
        act: Act::Look,
        ..read("/v1/me", "getMe", "Who is asking, and as what.", &[], "Me", || get(fleet::me))
    },
    Route {
        act: Act::Look,
        ..read("/v1/openapi.json", "getOpenApi", "This document.", &[], "Object", || {
            get(openapi::show)
        })
    },
];
