{{- define "gyre.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gyre.selector" -}}
app.kubernetes.io/name: gyre
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gyre.labels" -}}
{{ include "gyre.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "gyre.secret" -}}
{{- .Values.gossipKey.existingSecret | default (printf "%s-gossip" (include "gyre.fullname" .)) -}}
{{- end -}}

{{- define "gyre.cluster" -}}
{{- .Values.clusterName | default (include "gyre.fullname" .) -}}
{{- end -}}

{{/* The names of pods that always exist: of each zone's, or of the one set's, the first; three of the one set. */}}
{{- define "gyre.seeds" -}}
{{- $full := include "gyre.fullname" . -}}
{{- $seeds := list -}}
{{- if .Values.zones -}}
{{- range .Values.zones }}{{ $seeds = append $seeds (printf "%s-%s-0.%s-nodes:7700" $full . $full) }}{{ end -}}
{{- else -}}
{{- range until (int (min 3 .Values.replicas)) }}{{ $seeds = append $seeds (printf "%s-%d.%s-nodes:7700" $full . $full) }}{{ end -}}
{{- end -}}
{{- join "," $seeds -}}
{{- end -}}

{{- define "gyre.check" -}}
{{- $v := .Values -}}
{{- if gt (int $v.writeAcks) (int $v.copies) -}}
{{- fail (printf "writeAcks: %v is more than copies: %v; a write cannot have more copies than records" $v.writeAcks $v.copies) -}}
{{- end -}}
{{- $least := add $v.preStopSeconds $v.stopTimeoutSeconds 5 -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (int $least) -}}
{{- fail (printf "terminationGracePeriodSeconds: %v is too short for preStopSeconds, stopTimeoutSeconds and 5 s; say %d or more, and more where a snapshot is written" $v.terminationGracePeriodSeconds $least) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled $v.zones -}}
{{- fail "autoscaling works on one StatefulSet, and zones make one each: leave one of the two out" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (lt (int $v.autoscaling.maxReplicas) (int $v.replicas)) -}}
{{- fail "autoscaling.maxReplicas is less than replicas, which is the least that the autoscaler may have" -}}
{{- end -}}
{{- end -}}
