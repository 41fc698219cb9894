// Package picture keeps the pictures of docs/pictures up to date. A real browser takes a picture of a page that a
// test has made; a file beside it holds the hash of the page's content. The picture is fresh as long as the page has
// that content. The package does not compare pixels, because fonts differ from machine to machine.
package picture
