{{/* A claim for state: (dict "name" ... "namespace" ... "values" .Values) */}}
{{- define "kars.claim" }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .values.storage.class }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .values.storage.size }}
{{- end }}

{{/* The volume for state: (dict "claim" ... "folder" ... "values" .Values) */}}
{{- define "kars.volume" -}}
- name: data
{{- if .values.storage.hostPath }}
  hostPath: {path: "{{ .values.storage.hostPath }}/{{ .folder }}", type: DirectoryOrCreate}
{{- else }}
  persistentVolumeClaim: {claimName: {{ .claim }}}
{{- end }}
{{- end }}

{{/* The kubelet makes a folder of the node for root; no other container is root. */}}
{{- define "kars.owner" -}}
{{- if .Values.storage.hostPath }}
initContainers:
  - name: owner
    image: {{ .Values.image.name | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/usr/bin/chown, "10001:10001", /data]
    securityContext:
      runAsNonRoot: false
      runAsUser: 0
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL], add: [CHOWN]}
    volumeMounts:
      - {name: data, mountPath: /data}
{{- end }}
{{- end }}

{{/* Folders of the node are more than the restricted standard grants. */}}
{{- define "kars.podSecurity" -}}
pod-security.kubernetes.io/enforce: {{ if .Values.storage.hostPath }}privileged{{ else }}restricted{{ end }}
{{- end }}

{{- define "kars.podContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "kars.containerContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
