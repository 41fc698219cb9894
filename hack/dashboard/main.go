// Command dashboard writes the Grafana dashboard of the chart. A row is a question and a panel is an answer. Each
// panel leads to the documentation that says what to do.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

//go:generate go run . ../../charts/k8s-vectordb-sync/files/dashboard.json

const docs = "https://github.com/k8s-vectordb-sync/k8s-vectordb-sync/blob/main/docs/"

func main() {
	text, err := dashboard()
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

type object map[string]any

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// dashboard returns the dashboard as JSON.
func dashboard() ([]byte, error) {
	var panels []object
	y := 0
	add := func(p object) {
		p["id"] = len(panels) + 1
		panels = append(panels, p)
	}
	for _, r := range rows {
		add(object{
			"type": "row", "title": r.title, "collapsed": false, "panels": []any{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1},
		})
		y++
		x, height := 0, 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y, height = 0, y+height, 0
			}
			add(p.object(x, y))
			x, height = x+p.width, max(height, p.height())
		}
		y += height
	}
	text, err := json.MarshalIndent(object{
		"title": "k8s-vectordb-sync", "uid": "k8s-vectordb-sync", "tags": []string{"kubernetes", "vector-database"}, "timezone": "browser",
		"schemaVersion": 39, "version": 2, "editable": true, "refresh": "30s", "time": object{"from": "now-6h", "to": "now"},
		"links": []object{
			{"title": "Operating", "type": "link", "url": docs + "operations.md", "targetBlank": true, "icon": "doc"},
			{"title": "Metrics", "type": "link", "url": docs + "metrics.md", "targetBlank": true, "icon": "doc"},
		},
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
			{
				"name": "namespace", "type": "query", "label": "Namespace", "datasource": datasource,
				"query": "label_values(k8s_vectordb_sync_dirty_objects, namespace)", "refresh": 2, "includeAll": true, "multi": true,
				"current": object{"text": "All", "value": "$__all"},
			},
		}},
		"panels": panels,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return append(text, '\n'), nil
}

// height is the height of a panel.
func (p panel) height() int {
	if p.kind == "stat" {
		return 4
	}
	return 8
}

func (p panel) object(x, y int) object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{
			"expr": strings.ReplaceAll(q.expr, "{}", `{namespace=~"$namespace"}`), "legendFormat": q.legend, "refId": string(rune('A' + i)),
			"datasource": datasource,
		})
	}
	o := object{
		"type": p.kind, "title": p.title, "description": p.description, "datasource": datasource, "targets": targets,
		"gridPos":     object{"x": x, "y": y, "w": p.width, "h": p.height()},
		"fieldConfig": object{"defaults": p.defaults(), "overrides": []any{}},
		"links":       []object{{"title": "What to do", "url": docs + p.link, "targetBlank": true}},
	}
	if p.kind == "stat" {
		o["options"] = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "value"}
	}
	return o
}

func (p panel) defaults() object {
	d := object{"unit": p.unit, "min": 0}
	if p.bad > 0 {
		d["color"] = object{"mode": "thresholds"}
		d["thresholds"] = object{"mode": "absolute", "steps": []object{{"color": "green", "value": nil}, {"color": "red", "value": p.bad}}}
	}
	return d
}
