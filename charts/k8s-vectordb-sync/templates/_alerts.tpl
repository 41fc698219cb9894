{{/*
The groups of files/alerts.yaml with what metrics.prometheusRule says of them: rules that are switched off, and labels,
durations and thresholds of others. A threshold is the number of files/alert-thresholds.yaml in the rule's expression.
*/}}
{{- define "k8s-vectordb-sync.alertGroups" -}}
{{- $given := .Values.metrics.prometheusRule }}
{{- $thresholds := .Files.Get "files/alert-thresholds.yaml" | fromYaml }}
{{- $known := list }}
{{- $groups := list }}
{{- range $group := (.Files.Get "files/alerts.yaml" | fromYaml).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $known = append $known $rule.alert }}
{{- $own := default dict (get $given.rules $rule.alert) }}
{{- if ne (toString (get $own "enabled")) "false" }}
{{- $labels := mergeOverwrite (deepCopy $rule.labels) $given.ruleLabels (default dict $own.labels) }}
{{- with $own.severity }}{{ $_ := set $labels "severity" . }}{{ end }}
{{- $_ := set $rule "labels" $labels }}
{{- with get $own "for" }}{{ $_ := set $rule "for" . }}{{ end }}
{{- if not (has (toString $own.threshold) (list "" "<nil>")) }}
{{- if not (hasKey $thresholds $rule.alert) }}
{{- fail (printf "metrics.prometheusRule.rules.%s.threshold is set, but this alert has no threshold: those that have are %s" $rule.alert (keys $thresholds | sortAlpha | join ", ")) }}
{{- end }}
{{- $new := $own.threshold | toString }}
{{- if kindIs "float64" $own.threshold }}{{ $new = printf "%v" $own.threshold }}{{ end }}
{{- $pattern := printf "> %v\\b" (get $thresholds $rule.alert) }}
{{- $_ := set $rule "expr" (regexReplaceAll $pattern $rule.expr (printf "> %s" $new)) }}
{{- end }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- if $rules }}{{ $groups = append $groups (dict "name" $group.name "rules" $rules) }}{{ end }}
{{- end }}
{{- range $name, $_ := $given.rules }}
{{- if not (has $name $known) }}
{{- fail (printf "metrics.prometheusRule.rules names %s, but no alert is called so: there are %s" $name (join ", " $known)) }}
{{- end }}
{{- end }}
{{- toYaml $groups }}
{{- end }}
