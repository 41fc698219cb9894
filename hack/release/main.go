// Command release makes the parts of a release that a shell makes badly: images without Docker, archives whose
// bytes depend only on their content, the notes, and the check that an SBOM names every module.
// hack/release/release.sh calls it.
//
//	release image -out F -reference R -arch A -binary B [-data] [-epoch N] [ARGUMENT...]
//	release pack -epoch N -out F.tar.gz FILE...   the files by their base names, executable where they are
//	release repack -epoch N F.tgz        the same entries, in order, with one time and no owner
//	release notes VERSION CHANGELOG.md   what is new in a version, "Unreleased" if the file does not name it
//	release check-sbom BINARY SBOM.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("want one of image, pack, repack, notes, check-sbom")
	}
	set := flag.NewFlagSet(args[0], flag.ContinueOnError)
	epoch := set.Int64("epoch", 0, "seconds since 1970 that everything is dated")
	var i image
	switch args[0] {
	case "image":
		set.StringVar(&i.out, "out", "", "archive to write")
		set.StringVar(&i.reference, "reference", "", "name of the image, with its tag")
		set.StringVar(&i.arch, "arch", "", "amd64 or arm64")
		set.StringVar(&i.binary, "binary", "", "static binary that the image runs")
		set.BoolVar(&i.data, "data", false, "add a folder /data that the user may write")
	case "pack":
		set.StringVar(&i.out, "out", "", "archive to write")
	case "repack", "notes", "check-sbom":
	default:
		return fmt.Errorf("unknown command %q, want one of image, pack, repack, notes, check-sbom", args[0])
	}
	if err := set.Parse(args[1:]); err != nil {
		return err
	}
	switch rest := set.Args(); {
	case args[0] == "image":
		i.epoch, i.arguments = *epoch, rest
		return i.write()
	case args[0] == "pack" && len(rest) > 0 && i.out != "":
		return pack(i.out, rest, *epoch)
	case args[0] == "repack" && len(rest) == 1:
		return repack(rest[0], *epoch)
	case args[0] == "notes" && len(rest) == 2:
		return notes(rest[0], rest[1], out)
	case args[0] == "check-sbom" && len(rest) == 2:
		return checkSBOM(rest[0], rest[1])
	}
	return fmt.Errorf("%s: wrong number of arguments", args[0])
}
