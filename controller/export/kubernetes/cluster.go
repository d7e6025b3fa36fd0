package kubernetes

import (
	"cmp"
	"encoding/base64"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/tendhq/tend/controller/spec"
)

// CloudNativePG makes these labels of the pods of a Cluster, the port is where they listen,
// and the superuser is the account that each has.
const (
	labelCluster     = "cnpg.io/cluster"
	labelRole        = "cnpg.io/instanceRole"
	clusterPort      = 5432
	clusterSuperuser = "postgres"
)

// isCluster reports whether a workload is exported as a Cluster of CloudNativePG.
func (e *exporter) isCluster(w *spec.Workload) bool {
	return w.Kind == spec.Database && slices.Contains(e.alternatives, CloudNativePG)
}

// cluster adds a Database as a Cluster of CloudNativePG, which makes what a StatefulSet would
// have: the pods, their probes, their security contexts and the claim.
func (e *exporter) cluster(w *spec.Workload) {
	owner, database := databaseOwner(w)
	account := object{"name": e.ownerSecret(w)}
	initdb := object{"database": database, "owner": owner, "secret": account}
	inherited := e.networkLabels(w)
	inherited[labelProject] = label(e.project.Name)
	fields := object{
		"instances":         1,
		"inheritedMetadata": object{"labels": inherited, "annotations": annotations(w)},
		"bootstrap":         object{"initdb": initdb.with(e.initScripts(w))},
		"storage":           object{"size": claimSize},
		// Docker's image has Postgres end its sessions at once, and the operator waits for them.
		"stopDelay": seconds(w.StopGrace), "smartShutdownTimeout": 0,
	}
	if owner == clusterSuperuser {
		fields["enableSuperuserAccess"], fields["superuserSecret"] = true, account
	}
	if image, kept := clusterImage(w.Image); kept {
		fields["imageName"], fields["imagePullPolicy"] = image, pullPolicy(w)
	} else {
		fields.with("imageName", image)
		// The locale of Docker's image; CloudNativePG's begins without one.
		initdb["localeCollate"], initdb["localeCType"] = "en_US.utf8", "en_US.utf8"
	}
	if size := int64(w.Template.ShmSize); size > 0 {
		fields["ephemeralVolumesSizeLimit"] = object{"shm": quantity(size)}
	}
	asked := object{}
	for field, p := range specProbes(w) {
		asked[strings.TrimSuffix(field, "Probe")] = timing(p)
	}
	fields.with("postgresql", settings(w).object()).with("resources", resources(w)).with("probes", asked)
	fields.with("affinity", object{}.with("nodeSelector", nodeSelector(w.Template)))
	e.add("Cluster", e.services[w.Name], e.ofWorkload(w), object{"spec": fields})
	e.operatorPolicy(w)
}

// databaseOwner is the account that a Database makes, and the database that it owns.
func databaseOwner(w *spec.Workload) (owner, database string) {
	value := func(name string) string {
		if v := w.Template.Environment[name]; v != nil {
			return *v
		}
		return ""
	}
	owner = cmp.Or(value("POSTGRES_USER"), clusterSuperuser)
	return owner, cmp.Or(value("POSTGRES_DB"), owner)
}

// ownerSecret is the name of the Secret with the account that owns the database.
func (e *exporter) ownerSecret(w *spec.Workload) string { return e.services[w.Name] + ".owner" }

// addOwnerSecret adds that Secret: Kubernetes wants a key in one of its type, and the name is
// no secret.
func (e *exporter) addOwnerSecret(w *spec.Workload) {
	owner, _ := databaseOwner(w)
	name := base64.StdEncoding.EncodeToString([]byte(owner))
	e.typedSecret(e.ownerSecret(w), []string{"password"}, object{"type": "kubernetes.io/basic-auth", "data": map[string]string{"username": name}})
}

// isInitScript reports whether Docker's image runs a config as SQL when it makes the database.
func isInitScript(c types.ServiceConfigObjConfig) bool {
	return path.Dir(c.Target) == "/docker-entrypoint-initdb.d" && path.Ext(c.Target) == ".sql"
}

// initScripts are the field of bootstrap.initdb, and its value, that has a Cluster run the same
// in the same order. Where the database is the superuser's own, no application database is made.
func (e *exporter) initScripts(w *spec.Workload) (field string, refs object) {
	scripts := slices.DeleteFunc(slices.Clone(w.Template.Configs), func(c types.ServiceConfigObjConfig) bool { return !isInitScript(c) })
	slices.SortFunc(scripts, func(a, b types.ServiceConfigObjConfig) int { return cmp.Compare(a.Target, b.Target) })
	var all []object
	for _, c := range scripts {
		all = append(all, object{"name": e.configs[c.Source], "key": c.Source})
	}
	field = "postInitApplicationSQLRefs"
	if _, database := databaseOwner(w); database == clusterSuperuser {
		field = "postInitSQLRefs"
	}
	return field, object{}.with("configMapRefs", all)
}

// major is what CloudNativePG takes for the version of Postgres in a tag.
var major = regexp.MustCompile(`^([1-9][0-9]+)([._-].*)?$`)

// clusterImage returns the image of a Cluster: of Docker's own the one that CloudNativePG
// makes of the same major version, and any other as it is, which kept reports. It is empty
// where the tag does not begin with a version, as CloudNativePG refuses such an image.
func clusterImage(image string) (name string, kept bool) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", false
	}
	tagged, ok := named.(reference.Tagged)
	if !ok || !major.MatchString(tagged.Tag()) {
		return "", false
	}
	if named.Name() == "docker.io/library/postgres" {
		return "ghcr.io/cloudnative-pg/postgresql:" + major.FindStringSubmatch(tagged.Tag())[1] + "-standard-trixie", false
	}
	return image, true
}

// operatorPolicy lets the operator in to the pods of a Cluster, them reach each other, and
// them out to the API of Kubernetes, whose address is the cluster's own: without that a
// Cluster in an internal network does not start.
func (e *exporter) operatorPolicy(w *spec.Workload) {
	instances := object{"podSelector": object{"matchLabels": e.selector(w)}}
	operator := object{
		"namespaceSelector": object{},
		"podSelector":       object{"matchLabels": map[string]string{labelName: "cloudnative-pg"}},
	}
	tcp := func(port int) object { return object{"port": port, "protocol": "TCP"} }
	e.add("NetworkPolicy", "cluster."+e.services[w.Name], e.ofWorkload(w), object{"spec": object{
		"podSelector": instances["podSelector"],
		"policyTypes": []string{"Ingress", "Egress"},
		"ingress":     []object{{"from": []object{instances}}, {"from": []object{operator}, "ports": []object{tcp(8000), tcp(clusterPort)}}},
		"egress":      []object{{"to": []object{instances}}, {"ports": []object{tcp(443), tcp(6443), tcp(53), {"port": 53, "protocol": "UDP"}}}},
	}})
}
