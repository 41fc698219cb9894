package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

const path = "../../charts/k8s-vectordb-sync/files/dashboard.json"

func TestDashboard_Generated_IsTheCommittedOne(t *testing.T) {
	want, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is stale: make generate", path)
	}
}

// TestEachLinkLeadsSomewhere: every panel has a description, and a link to a heading that exists.
func TestEachLinkLeadsSomewhere(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	slug := func(h string) string {
		return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h), ""), " ", "-")
	}
	for _, r := range rows {
		for _, p := range r.panels {
			file, anchor, _ := strings.Cut(p.link, "#")
			text, err := os.ReadFile("../../docs/" + file)
			if err != nil {
				t.Errorf("%s, %s: %v", r.title, p.title, err)
				continue
			}
			found := anchor == ""
			for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
				found = found || slug(h[1]) == anchor
			}
			if !found || p.description == "" {
				t.Errorf("%s, %s leads to %q, which is no heading, or says nothing: %q", r.title, p.title, p.link, p.description)
			}
		}
	}
}
