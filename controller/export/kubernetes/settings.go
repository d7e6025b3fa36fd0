package kubernetes

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

// serverSettings are the parameters that the command of a Database gives to Postgres.
type serverSettings struct {
	parameters map[string]string
	libraries  []string
	// fixed are the parameters that CloudNativePG sets itself; rest are the words of the
	// command that set no parameter.
	fixed, rest []string
}

// fixedParameters are those that CloudNativePG refuses in a Cluster:
// https://cloudnative-pg.io/documentation/current/postgresql_conf/#fixed-parameters
var fixedParameters = strings.Fields(`
	allow_alter_system allow_system_table_mods archive_cleanup_command archive_command archive_mode
	bonjour bonjour_name cluster_name config_file data_directory data_sync_retry event_source
	external_pid_file hba_file hot_standby ident_file jit_provider listen_addresses log_destination
	log_directory log_file_mode log_filename log_rotation_age log_rotation_size
	log_truncate_on_rotation logging_collector pg_failover_slots.primary_dsn
	pg_failover_slots.standby_slot_names port primary_conninfo primary_slot_name
	promote_trigger_file recovery_end_command recovery_min_apply_delay recovery_target
	recovery_target_action recovery_target_inclusive recovery_target_lsn recovery_target_name
	recovery_target_time recovery_target_timeline recovery_target_xid restart_after_crash
	restore_command ssl ssl_ca_file ssl_cert_file ssl_crl_file ssl_dh_params_file ssl_key_file
	ssl_passphrase_command ssl_passphrase_command_supports_reload ssl_prefer_server_ciphers
	stats_temp_directory synchronized_standby_slots synchronous_standby_names syslog_facility
	syslog_ident syslog_sequence_numbers syslog_split_messages temp_tablespaces
	unix_socket_directories unix_socket_group unix_socket_permissions`)

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$`)

// settings reads the command of a Database: postgres -c name=value --name=value.
func settings(w *spec.Workload) serverSettings {
	s := serverSettings{parameters: map[string]string{}}
	words := slices.Clone(w.Template.Command)
	if len(words) > 0 && path.Base(words[0]) == "postgres" {
		words = words[1:]
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		setting, ok := strings.CutPrefix(word, "--")
		if !ok {
			setting, ok = strings.CutPrefix(word, "-c")
		}
		if word == "-c" && len(words) > 0 {
			setting, words = words[0], words[1:]
		}
		name, value, assigned := strings.Cut(setting, "=")
		name = strings.ReplaceAll(name, "-", "_")
		switch {
		case !ok || !assigned || !parameterName.MatchString(name):
			s.rest = append(s.rest, word)
		case name == "shared_preload_libraries":
			s.libraries = strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' })
		case slices.Contains(fixedParameters, name):
			s.fixed = append(s.fixed, name)
		default:
			s.parameters[name] = value
		}
	}
	return s
}

// object is the field postgresql of a Cluster.
func (s serverSettings) object() object {
	return object{}.with("parameters", maps.Clone(s.parameters)).with("shared_preload_libraries", s.libraries)
}
