// Command dashboards writes the dashboards for Grafana into a folder, as JSON: what stands in
// the table of boards.go, by Grafana's own types.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboards FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func write(folder string) (err error) {
	for _, b := range boards {
		text, failed := b.json()
		if failed == nil {
			failed = os.WriteFile(filepath.Join(folder, b.uid+".json"), text, 0o644)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// board is a dashboard: rows of panels, two beside each other.
type board struct {
	uid, title string
	// by is the label that a variable of the board selects, and of what metric; empty for none.
	by, of string
	rows   []row
}

type row struct {
	title  string
	panels []panel
}

// panel is a graph of one query. unit is Grafana's.
type panel struct{ title, unit, query, legend string }

const tag = "tend"

func source() common.DataSourceRef {
	kind, uid := "prometheus", "prometheus"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

func query(expr, legend string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source()).Expr(expr).LegendFormat(legend).Range()
}

// json is the dashboard as Grafana reads it.
func (b board) json() ([]byte, error) {
	//nolint:staticcheck // the newer form is not what the Grafana of compose.yaml reads from a file
	d := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Tags([]string{tag}).Timezone("browser").
		Time("now-30m", "now").Refresh("10s").Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly().
		Link(dashboard.NewDashboardLinkBuilder("Dashboards").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).KeepTime(true).IncludeVars(true)).
		Annotation(dashboard.NewAnnotationQueryBuilder().Name("Rollouts").Datasource(source()).Enable(true).IconColor("blue").
			Expr(rollouts).TitleFormat("rollout of {{workload}}: {{result}}").Step("10s"))
	if b.by != "" {
		values := fmt.Sprintf("label_values(%s, %s)", b.of, b.by)
		d = d.WithVariable(dashboard.NewQueryVariableBuilder(b.by).Datasource(source()).Query(dashboard.StringOrMap{String: &values}).
			Multi(true).IncludeAll(true).Refresh(dashboard.VariableRefreshOnTimeRangeChanged))
	}
	for _, r := range b.rows {
		d = d.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			d = d.WithPanel(timeseries.NewPanelBuilder().Title(p.title).Unit(p.unit).Min(0).Datasource(source()).Span(12).Height(8).
				FillOpacity(10).WithTarget(query(p.query, p.legend)))
		}
	}
	built, err := d.Build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.uid, err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}
