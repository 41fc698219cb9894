package progress

// ReadAs is the type that an object of a tombstone is read as here.
var ReadAs = readAs
