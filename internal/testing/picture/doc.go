// Package picture keeps the pictures of docs/pictures true. A picture is taken by a real browser of a page
// that a test has made; beside it stands the hash of what the page says. As long as the page says that, the
// picture is fresh. Pixels are not compared: fonts differ from machine to machine.
package picture
