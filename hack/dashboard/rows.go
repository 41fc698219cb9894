package main

// query is a line, or a line for each series. {} stands for the choice of namespaces.
type query struct{ expr, legend string }

// panel is an answer.
type panel struct {
	title, description string
	kind, unit         string
	width              int
	bad                float64 // a stat is red from this value on; 0 is never
	link               string  // in docs/
	queries            []query
}

// row is a question.
type row struct {
	title  string
	panels []panel
}

// stat is a number. From bad on, an operator has to act.
func stat(title, unit, description, link string, bad float64, queries ...query) panel {
	return panel{title: title, kind: "stat", unit: unit, width: 4, description: description, link: link, bad: bad, queries: queries}
}

// graph is a value over time.
func graph(title, unit, description, link string, queries ...query) panel {
	return panel{title: title, kind: "timeseries", unit: unit, width: 12, description: description, link: link, queries: queries}
}

// quantiles are the median and the 99th percentile of a histogram by a label.
func quantiles(metric, label string) []query {
	of := func(q string) string {
		return "histogram_quantile(" + q + ", sum by (le, " + label + ") (rate(" + metric + "_bucket{}[5m])))"
	}
	return []query{{of("0.5"), "{{" + label + "}} median"}, {of("0.99"), "{{" + label + "}} p99"}}
}

const prefix = "k8s_vectordb_sync_"

var rows = []row{
	{"Is all well?", []panel{
		stat("Lag", "s", "Age of the oldest change that the receiver has not acknowledged.", "operations.md#k8svectordbsynclaggrowing", 600,
			query{"max by (target) (" + prefix + "oldest_dirty_age_seconds{})", "{{target}}"}),
		stat("Waiting", "short", "Objects that the receiver may not have in their current state.", "operations.md#k8svectordbsynclaggrowing", 0,
			query{"sum by (target) (" + prefix + "dirty_objects{})", "{{target}}"}),
		stat("Refused", "short", "Objects that the receiver refuses for good.", "operations.md#k8svectordbsyncobjectsquarantined", 1,
			query{"sum by (target) (" + prefix + "quarantined_objects{})", "{{target}}"}),
		stat("Held", "short", "Deletions that wait for a person.", "operations.md#k8svectordbsyncdeletionsheld", 1,
			query{"sum by (target) (" + prefix + "held_deletions{})", "{{target}}"}),
		stat("Replicas", "short", "Replicas that the ring counts as live, by the lowest word.", "operations.md#k8svectordbsyncreplicasmissing", 0,
			query{"min by (ring) (" + prefix + "ring_members{})", "{{ring}}"}),
		stat("Lost", "short", "Changes that were dropped. This stays 0.", "operations.md#k8svectordbsyncchangesdropped", 1,
			query{"sum by (target) (" + prefix + "dropped_total{})", "{{target}}"}),
	}},
	{"Delivery", []panel{
		graph("Lag over time", "s", "Age of the oldest change that the receiver has not acknowledged.", "operations.md#k8svectordbsynclaggrowing",
			query{"max by (target) (" + prefix + "oldest_dirty_age_seconds{})", "{{target}}"}),
		graph("From change to acknowledgement", "s", "The debounce window is part of it.", "operations.md#k8svectordbsynclaggrowing",
			quantiles(prefix+"delivery_latency_seconds", "target")...),
		graph("Requests by outcome", "reqps", "What became of each attempt.", "operations.md#k8svectordbsyncreceiverdown",
			query{"sum by (target, outcome) (rate(" + prefix + "delivery_attempts_total{}[5m])) > 0", "{{target}} {{outcome}}"}),
		graph("Duration of requests", "s", "How long the receiver takes.", "operations.md#k8svectordbsyncreceiverdown",
			quantiles(prefix+"delivery_duration_seconds", "target")...),
		graph("In trouble", "short", "1 while a replica only probes the receiver.", "operations.md#k8svectordbsyncreceiverdown",
			query{prefix + "delivery_breaker_open{}", "{{pod}} {{target}}"}),
		graph("Delivered by replica", "ops", "Changes that were acknowledged.", "operations.md#is-all-well",
			query{"sum by (pod) (rate(" + prefix + "delivery_latency_seconds_count{}[5m]))", "{{pod}}"}),
		graph("Saved", "ops", "What did not have to be sent: changes that change nothing, and those that a later one overtook.", "benchmarks.md",
			query{"sum by (namespace) (rate(" + prefix + "unchanged_total{}[5m]))", "{{namespace}} unchanged"},
			query{"sum by (target) (rate(" + prefix + "coalesced_total{}[5m]))", "{{target}} coalesced"}),
		graph("Refused and repeated", "short", "Objects that the receiver refuses, and those whose last word is to be repeated.", "operations.md#k8svectordbsyncobjectsquarantined",
			query{"sum by (target) (" + prefix + "quarantined_objects{})", "{{target}} refused"},
			query{"sum by (target) (" + prefix + "unsettled_objects{})", "{{target}} unsettled"}),
	}},
	{"First sync and resyncs", []panel{
		graph("First sync", "short", "Objects that there were at the start, and how many of them are delivered.", "operations.md#is-all-well",
			query{"sum by (target, state) (" + prefix + "first_sync_objects{})", "{{target}} {{state}}"}),
		graph("Resyncs under way", "short", "At each replica.", "operations.md#k8svectordbsyncresyncfailed",
			query{"sum by (pod, target) (" + prefix + "resync_operations_running{})", "{{pod}} {{target}}"}),
		graph("Read again and sent again", "ops", "Objects that resyncs have read, and those that they have offered.", "operations.md#k8svectordbsyncresyncfailed",
			query{"sum by (target) (rate(" + prefix + "resync_objects_total{}[5m]))", "{{target}} read"},
			query{"sum by (target) (rate(" + prefix + "resync_objects_offered_total{}[5m]))", "{{target}} offered"}),
		graph("Until the next resync", "s", "Below 0 it is overdue.", "operations.md#k8svectordbsyncresyncoverdue",
			query{"max by (target) (" + prefix + "resync_next_due_timestamp_seconds{} - time())", "{{target}}"}),
	}},
	{"Ring and handoffs", []panel{
		graph("Partitions owned", "short", "What each replica may send.", "operations.md#k8svectordbsyncviewsdisagree",
			query{prefix + "ring_partitions_owned{}", "{{member}}"}),
		graph("Without an owner, or disagreeing", "short", "Partitions that nobody claims; seconds since members had other views than they should.",
			"operations.md#k8svectordbsyncpartitionsorphaned",
			query{"max by (ring) (" + prefix + "ring_partitions_orphaned{})", "{{ring}} orphaned"},
			query{"max by (ring) (" + prefix + "ring_view_disagreement_seconds{})", "{{ring}} seconds of disagreement"}),
		graph("Handoffs", "s", "From seeing a change of members until everything is sent again by its new owner.", "operations.md#k8svectordbsyncviewsdisagree",
			query{"histogram_quantile(0.99, sum by (le, ring) (rate(" + prefix + "ring_handoff_duration_seconds_bucket{}[15m])))", "{{ring}} p99"}),
		graph("Parked", "short", "Changes that another replica delivers, kept in case it cannot.", "operations.md#k8svectordbsynccheckpointstale",
			query{prefix + "parked_objects{}", "{{pod}} {{target}}"}),
		graph("Fenced", "short", "Times in the last quarter of an hour that a replica stopped because it could not renew its Lease.",
			"operations.md#k8svectordbsyncreplicafenced",
			query{"sum by (member) (increase(" + prefix + "ring_fence_events_total{}[15m]))", "{{member}}"}),
		graph("Age of checkpoints", "s", "Since a replica last wrote how far it is, or had nothing new to write.", "operations.md#k8svectordbsynccheckpointstale",
			query{"max by (pod, target) (time() - " + prefix + "checkpoint_timestamp_seconds{})", "{{pod}} {{target}}"}),
	}},
	{"Verification and deletions", []panel{
		graph("Time since verified", "s", "The ten types that were held against a list longest ago.", "operations.md#k8svectordbsynceventslost",
			query{"topk(10, max by (resource) (" + prefix + "verification_age_seconds{}))", "{{resource}}"}),
		graph("Events lost and found", "short", "Types of which a replica knew something else than the cluster has.", "operations.md#k8svectordbsynceventslost",
			query{"sum by (resource, source) (increase(" + prefix + "divergences_total{}[15m])) > 0", "{{resource}} ({{source}})"}),
		graph("Restores noticed", "short", "Watches that found versions to begin anew, as after a restore of etcd; lists that went back.",
			"operations.md#k8svectordbsyncclusterrestored",
			query{"sum by (stream) (increase(" + prefix + "streams_restores_total{}[15m]))", "{{stream}}"},
			query{"sum by (namespace) (increase(" + prefix + "rewinds_total{}[15m]))", "{{namespace}} lists"}),
		graph("Deletions that nobody saw", "short", "Found by what; and those that wait for a person.", "operations.md#deletions-that-nobody-saw",
			query{"sum by (target, source) (increase(" + prefix + "missed_deletions_found_total{}[15m]))", "{{target}} by {{source}}"},
			query{"sum by (target) (" + prefix + "held_deletions{})", "{{target}} held"}),
		graph("Types of which deletions are unknown", "short", "Nothing could tell of them.", "operations.md#k8svectordbsyncdeletionsunknown",
			query{"max by (target) (" + prefix + "unknown_deletions_types{})", "{{target}}"}),
		graph("Lists that failed or lied", "short", "Lists to verify by that failed; lists of which something that they lack was there.",
			"operations.md#what-a-fault-looks-like",
			query{"sum by (namespace) (increase(" + prefix + "verification_failures_total{}[15m]))", "{{namespace}} failed"},
			query{"sum by (namespace) (increase(" + prefix + "watch_lists_doubted_total{}[15m]))", "{{namespace}} doubted"}),
	}},
	{"Watches", []panel{
		graph("Objects by type", "short", "The ten largest types.", "operations.md#k8svectordbsynctypeunreadable",
			query{"topk(10, max by (resource) (" + prefix + "objects{}))", "{{resource}}"}),
		graph("Types that cannot be read", "short", "And why.", "operations.md#k8svectordbsynctypeunreadable",
			query{"max by (resource, reason) (" + prefix + "watch_failing{})", "{{resource}} {{reason}}"}),
		graph("Events", "ops", "What the API server tells.", "benchmarks.md",
			query{"sum by (event) (rate(" + prefix + "watch_events_total{}[5m]))", "{{event}}"}),
		graph("Silent streams", "short", "Watches that were begun again because nothing came, not even a bookmark.", "operations.md#k8svectordbsyncwatchessilent",
			query{"sum by (stream) (increase(" + prefix + "streams_silent_total{}[15m]))", "{{stream}}"},
			query{"sum by (reason) (increase(" + prefix + "watch_restarts_total{}[15m]))", "types, {{reason}}"}),
		graph("Parts of the API that do not answer", "short", "What was known of them is kept.", "operations.md#k8svectordbsyncdiscoveryincomplete",
			query{"max by (namespace) (" + prefix + "discovery_failed_groups{})", "{{namespace}}"}),
		graph("Lists given up for paged ones", "short", "Streamed lists that did not end within 30 seconds.", "operations.md#k8svectordbsyncwatchessilent",
			query{"sum by (stream) (increase(" + prefix + "streams_lists_given_up_total{}[15m]))", "{{stream}}"}),
	}},
	{"Process", []panel{
		graph("Memory", "bytes", "Resident.", "benchmarks.md",
			query{"process_resident_memory_bytes{} and on (pod, namespace) " + prefix + "dirty_objects{}", "{{pod}}"}),
		graph("Processor", "short", "Cores.", "benchmarks.md",
			query{"rate(process_cpu_seconds_total{}[5m]) and on (pod, namespace) " + prefix + "dirty_objects{}", "{{pod}}"}),
		graph("Versions", "short", "Replicas of each version; two for longer than an upgrade are one too many.", "releases.md",
			query{"count by (version, ring_format, checkpoint_format) (" + prefix + "build_info{})", "{{version}} ring {{ring_format}} checkpoint {{checkpoint_format}}"}),
		graph("Requests to the API", "reqps", "By route.", "api.md",
			query{"sum by (route) (rate(" + prefix + "api_requests_total{}[5m])) > 0", "{{route}}"}),
	}},
}
