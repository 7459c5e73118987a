# SPDX-License-Identifier: Apache-2.0
"""What the cluster of one_node.py runs beside Bolometer: pods of every class of service at work, and an
OpenTelemetry Collector that adds who owns a pod, asked of the API under an account of its own."""
from cluster import API_PORT, NODE_ADDRESS

FOREVER = "1000000000"  # ms of CPU time
SOME_CPU = {"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}}
FIXED = {"requests": {"cpu": "60m", "memory": "16Mi"}, "limits": {"cpu": "60m", "memory": "16Mi"}}

COLLECTOR = """
receivers: {otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}}}}
processors:
  k8s_attributes:
    auth_type: serviceAccount
    extract: {metadata: [k8s.deployment.name, k8s.job.name, k8s.daemonset.name]}
    pod_association: [{sources: [{from: resource_attribute, name: k8s.pod.uid}]}]
exporters: {file: {path: /collected/profiles, format: proto, flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {profiles: {receivers: [otlp], processors: [k8s_attributes], exporters: [file]}}
"""
SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount"


def metadata(name, namespace=None):
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def resource(kind, name, namespace=None, version="v1", **content):
    return {"apiVersion": version, "kind": kind, "metadata": metadata(name, namespace), **content}


def worker(name, milliseconds=FOREVER, **resources):
    """A container that uses the CPU, by itself in brief_inner below brief_outer below main."""
    return {"name": name, "image": "brief:1", "imagePullPolicy": "Never", "args": [milliseconds],
            "resources": resources}


def pod_spec(*containers, **more):
    return {"terminationGracePeriodSeconds": 0, "enableServiceLinks": False, "dnsPolicy": "Default",
            "automountServiceAccountToken": False, "containers": containers, **more}


WORKLOADS = [
    resource("Namespace", "shop"),
    resource("Deployment", "cart", "shop", "apps/v1", spec={
        "replicas": 2, "selector": {"matchLabels": {"app": "cart"}},
        "template": {"metadata": {"labels": {"app": "cart"}},
                     "spec": pod_spec(worker("web", **SOME_CPU), worker("side-car", **SOME_CPU))}}),
    resource("Pod", "guaranteed", "shop", spec=pod_spec(worker("ledger", **FIXED))),
    resource("Job", "nightly", "shop", "batch/v1", spec={
        "backoffLimit": 0,
        "template": {"spec": pod_spec(worker("best-effort", "1500"), restartPolicy="Never")}}),
]
# Not of the API: the kubelet reads it from a file, and its uid is a hash without dashes.
STATIC = resource("Pod", "agent", "shop", spec=pod_spec(worker("static", **SOME_CPU)))


def collector_pod(directory, certificate):
    """Writes what it receives to a directory of the node. No service leads to the API here: its address and
    certificate are given."""
    container = {
        "name": "otelcol", "image": "collector:1", "imagePullPolicy": "Never",
        "args": ["--config=/etc/collector/collector.yaml", "--feature-gates=service.profilesSupport"],
        "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": NODE_ADDRESS},
                {"name": "KUBERNETES_SERVICE_PORT", "value": str(API_PORT)}],
        "readinessProbe": {"tcpSocket": {"port": 4317}, "periodSeconds": 1},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/collector"},
                         {"name": "account", "mountPath": SECRETS},
                         {"name": "collected", "mountPath": "/collected"}]}
    volumes = [
        {"name": "configuration", "configMap": {"name": "collector"}},
        {"name": "account", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "api"}}]}},
        {"name": "collected", "hostPath": {"path": str(directory)}}]
    read = ["get", "list", "watch"]
    return [
        resource("Namespace", "opentelemetry"),
        resource("ServiceAccount", "collector", "opentelemetry"),
        resource("ClusterRole", "collector", version="rbac.authorization.k8s.io/v1", rules=[
            {"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": read},
            {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": read}]),
        resource("ClusterRoleBinding", "collector", version="rbac.authorization.k8s.io/v1",
                 subjects=[{"kind": "ServiceAccount", "name": "collector", "namespace": "opentelemetry"}],
                 roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "collector"}),
        resource("ConfigMap", "collector", "opentelemetry", data={"collector.yaml": COLLECTOR}),
        resource("ConfigMap", "api", "opentelemetry", data={"ca.crt": certificate}),
        resource("Pod", "collector", "opentelemetry",
                 spec=pod_spec(container, serviceAccountName="collector", volumes=volumes)),
    ]


def owners_of(pod, replica_sets):
    """Attributes that name who made a pod; `replica_sets`: name -> its Deployment."""
    for owner in pod["metadata"].get("ownerReferences", []):
        if owner["kind"] == "ReplicaSet":
            return {"k8s.deployment.name": replica_sets[owner["name"]]}
        if owner["kind"] in ("Job", "DaemonSet"):
            return {f"k8s.{owner['kind'].lower()}.name": owner["name"]}
    return {}
