package main

// selectionTable says what a setting of "What is sent" means beyond its own line.
const selectionTable = `
## What a setting means for what is sent

[plan.md](plan.md) has how to see what settings would send, and what it would cost, before anything is sent.

A document's identity is namespace, version, kind and name; what it holds is labels, annotations and times. A replica knows of each object a digest of
what would be sent, and how far each receiver is known to be in step (its checkpoint).

| Setting | Is its change of an object one? | Checkpoints after the setting was changed | What the receiver holds and is wanted no more |
|---------|---------------------------------|-------------------------------------------|-----------------------------------------------|
| ` + "`WATCH_RESOURCE_TYPES`, `EXCLUDE_RESOURCE_TYPES`, `WATCH_NAMESPACES`, `EXCLUDE_NAMESPACES`" + ` | What does not match is not looked at. | They stay valid; what is new is sent. | It stays: what one controller does not look at may be another's. |
| ` + "`ANNOTATION_INCLUDE`, `ANNOTATION_EXCLUDE`, `LABEL_INCLUDE`, `LABEL_EXCLUDE`" + ` | No change of a label or annotation that is left out is one. | They are void: everything is sent once more. | It is replaced by what is sent. |
| ` + "`EXTRA_LABELS`" + ` | | They are void: everything is sent once more. | It is replaced by what is sent. |
| ` + "`WATCH_LABEL_SELECTOR`" + ` | An object that no longer matches is deleted at the receiver, one that comes to match is sent. | They are void: everything that matches is sent once more. | See below. |
| ` + "`OPT_OUT_ANNOTATION`" + ` | An object that gets the annotation is deleted at the receiver, one that loses it is sent. | They are void, as above. | See below. |
| ` + "`SKIP_CONTROLLED`" + ` | An object that gets a watched controller is deleted at the receiver, one that loses it is sent. | They are void, as above. So they are by a change of the types, for these decide what is watched. | See below. |

The last three choose objects of a type that is looked at, so what they leave out counts as gone. While a replica runs, and when one starts with the same
settings, an object that goes out of the selection is deleted at the receiver: by the watch, by the API server's history, or by what it held before. After a change
of the settings only the inventory (` + "`STATE_DIR`" + `) and a receiver that can be asked what it holds know what is too much there. By their word it is deleted
like anything whose object is gone: up to 50 documents and a tenth of a type at once. What is more waits for ` + "`kubectl vectordb-sync resync --force`" + `, so that a
selector with a mistake in it empties nothing.

A receiver that a ResourceSyncConfig names has the same settings as fields. They narrow what the process keeps and cannot widen it: ` + "`watchLabelSelector`" + ` sees
the labels that were kept, with ` + "`EXTRA_LABELS`" + `; ` + "`optOutValue`" + ` is a word that the annotation may hold in the place of ` + "`true`" + ` to keep an object from that
receiver alone; ` + "`extraLabels`" + ` win over those of the process. The receiver's own checkpoints are void when they change, and no others. What leaves its view
while a replica runs is deleted there at once.
While ResourceSyncConfigs are read, a word in the annotation and another controller are a change of the object for every receiver.
`
