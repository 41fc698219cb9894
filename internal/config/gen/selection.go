package main

// selectionTable explains the settings of "What is sent" beyond their own lines.
const selectionTable = `
## What a setting means for what is sent

[plan.md](plan.md) shows how to see what settings would send, and what it would cost, before anything is sent.

A document's identity is namespace, version, kind and name; its content is labels, annotations and times. A replica keeps
for each object a digest of the payload, and for each receiver how far it is known to be in step (its checkpoint).

| Setting | Effect of a change of an object | Checkpoints after a change of the setting | Documents that are no longer wanted |
|---------|---------------------------------|-------------------------------------------|-------------------------------------|
| ` + "`WATCH_RESOURCE_TYPES`, `EXCLUDE_RESOURCE_TYPES`, `WATCH_NAMESPACES`, `EXCLUDE_NAMESPACES`" + ` | The controller ignores objects that do not match. | They stay valid; new objects are sent. | They stay: they may belong to another controller. |
| ` + "`ANNOTATION_INCLUDE`, `ANNOTATION_EXCLUDE`, `LABEL_INCLUDE`, `LABEL_EXCLUDE`" + ` | A change of a label or annotation that is left out sends nothing. | They are void: everything is sent once more. | The new documents replace them. |
| ` + "`EXTRA_LABELS`" + ` | | They are void: everything is sent once more. | The new documents replace them. |
| ` + "`WATCH_LABEL_SELECTOR`" + ` | When an object no longer matches, its document is deleted; when it comes to match, it is sent. | They are void: everything that matches is sent once more. | See below. |
| ` + "`OPT_OUT_ANNOTATION`" + ` | When an object gets the annotation, its document is deleted; when it loses it, the object is sent. | They are void, as above. | See below. |
| ` + "`SKIP_CONTROLLED`" + ` | When an object gets a watched controller, its document is deleted; when it loses it, the object is sent. | They are void, as above, and also after a change of the types, which decide what is watched. | See below. |

The last three settings select objects of a watched type, so the controller treats objects that they leave out as gone. While
a replica runs, and when one starts with the same settings, an object that leaves the selection is deleted at the receiver.
The replica learns of it from the watch, from the API server's history, or from what the API server held before. After a
change of the settings, only the inventory (` + "`STATE_DIR`" + `) and a receiver that lists its documents can tell which documents
are too many. The controller deletes these like any document whose object is gone: up to 50 documents and a tenth of a type
at once. More of them wait for ` + "`kubectl vectordb-sync resync --force`" + `, so that a mistake in a selector empties nothing.

A receiver that a ResourceSyncConfig names has the same settings as fields. They narrow what the process keeps and cannot
widen it. ` + "`watchLabelSelector`" + ` sees the labels that were kept, with ` + "`EXTRA_LABELS`" + `. ` + "`optOutValue`" + ` is a word that the
annotation may hold instead of ` + "`true`" + ` to keep an object from that receiver alone. ` + "`extraLabels`" + ` win over those of the
process. When these fields change, the receiver's own checkpoints are void, and no others. An object that leaves the
receiver's selection while a replica runs is deleted there at once. While the controller reads ResourceSyncConfigs, a new
word in the annotation, or another controller of the object, counts as a change of the object for every receiver.
`
