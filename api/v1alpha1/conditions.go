package v1alpha1

// Types of conditions. Ready is good when it is True, the others are good when they are False.
const (
	ConditionReady               = "Ready"
	ConditionReceiverDegraded    = "ReceiverDegraded"
	ConditionDiscoveryIncomplete = "DiscoveryIncomplete"
	ConditionDeletionsUnknown    = "DeletionsUnknown"
	ConditionRepairWaiting       = "RepairWaiting"
)

// Reasons of the condition Ready.
const (
	// ReasonInitialSync: everything is being sent for the first time (True).
	ReasonInitialSync = "InitialSync"
	// ReasonSyncing: the receiver is kept in step (True).
	ReasonSyncing = "Syncing"
	// ReasonStarting: nothing is known of the receiver yet (False).
	ReasonStarting = "Starting"

	// ReasonInvalidSpec: the spec cannot be followed; nothing is sent.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonDuplicateTarget: an older object declares the same receiver; nothing is sent for this one.
	ReasonDuplicateTarget = "DuplicateTarget"
	// ReasonSecretNotFound: the Secret does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretKeyNotFound: the Secret has no such key.
	ReasonSecretKeyNotFound = "SecretKeyNotFound"
	// ReasonSecretEmpty: the Secret's value is empty.
	ReasonSecretEmpty = "SecretEmpty"
	// ReasonSecretInvalid: the Secret's value cannot be sent as a token.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonSecretForbidden: the controller may not read the Secret.
	ReasonSecretForbidden = "SecretForbidden"
	// ReasonSecretUnreadable: the API server does not answer for the Secret.
	ReasonSecretUnreadable = "SecretUnreadable"
	// ReasonStartFailed: the controller could not start serving this receiver.
	ReasonStartFailed = "StartFailed"

	// ReasonMissingPermissions: the controller may watch nothing of what is to be sent.
	ReasonMissingPermissions = "MissingPermissions"
	// ReasonNothingWatched: no resource type is left to be watched.
	ReasonNothingWatched = "NothingWatched"
	// ReasonUnauthorized: the receiver refuses the credential.
	ReasonUnauthorized = "Unauthorized"
	// ReasonWrongEndpoint: what answers is not the receiver.
	ReasonWrongEndpoint = "WrongEndpoint"
	// ReasonReceiverUnavailable: the receiver is not reachable, or has no room at the moment.
	ReasonReceiverUnavailable = "ReceiverUnavailable"
	// ReasonReceiverFailing: the receiver answers with errors of its own.
	ReasonReceiverFailing = "ReceiverFailing"
)

// Reasons of the other conditions.
const (
	// ReasonAsExpected: nothing to be done (False).
	ReasonAsExpected = "AsExpected"
	// ReasonNotWatching: nothing is known because nothing is sent (Unknown).
	ReasonNotWatching = "NotWatching"
	// ReasonTypesMissing: resource types could not be discovered or listed (True).
	ReasonTypesMissing = "TypesMissing"
	// ReasonNoRecord: what was deleted while no replica ran cannot be told (True).
	ReasonNoRecord = "NoRecord"
	// ReasonTooManyDeletions: a repair would delete more than the guard allows (True).
	ReasonTooManyDeletions = "TooManyDeletions"
)
