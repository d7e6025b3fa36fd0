package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tendhq/tend/controller/core"
)

// traces holds the spans that have ended: those without a parent, and the children of each span.
type traces struct {
	roots    []sdktrace.ReadOnlySpan
	children map[trace.SpanID][]sdktrace.ReadOnlySpan
}

// traced has the controller begin anew and note its spans; the function that it returns
// tells those that have ended since it was called last.
func (w *world) traced() func() traces {
	ended := tracetest.NewSpanRecorder()
	w.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(ended)).Tracer("test")
	w.restart()
	return func() traces {
		t := traces{children: map[trace.SpanID][]sdktrace.ReadOnlySpan{}}
		for _, s := range ended.Ended() {
			if parent := s.Parent(); parent.IsValid() {
				t.children[parent.SpanID()] = append(t.children[parent.SpanID()], s)
			} else {
				t.roots = append(t.roots, s)
			}
		}
		ended.Reset()
		return t
	}
}

// below are the names of the spans below another one.
func (t traces) below(s sdktrace.ReadOnlySpan) map[string]int {
	names := map[string]int{}
	for _, child := range t.children[s.SpanContext().SpanID()] {
		names[child.Name()]++
	}
	return names
}

// find returns the spans of a name below another one.
func (t traces) find(s sdktrace.ReadOnlySpan, name string) (all []sdktrace.ReadOnlySpan) {
	for _, child := range t.children[s.SpanContext().SpanID()] {
		if child.Name() == name {
			all = append(all, child)
		}
	}
	return all
}

// says is the value of an attribute, "" where there is none.
func says(s sdktrace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.AsString()
		}
	}
	return ""
}

// reconciles are the roots of a workload's traces.
func (t traces) reconciles(workload string) (all []sdktrace.ReadOnlySpan) {
	for _, s := range t.roots {
		if s.Name() == "reconcile" && says(s, "tend.workload") == workload {
			all = append(all, s)
		}
	}
	return all
}

func TestAReconcileIsATraceOfItsPlanItsActionsAndTheirRequests(t *testing.T) {
	inWorld(t, func(w *world) {
		ended := w.traced()
		w.write(served)
		w.converge()
		told := ended()
		all := told.reconciles("web")
		require.Len(t, all, 1)
		require.Equal(t, map[string]int{"plan": 1, string(core.CreateReplica): 2}, told.below(all[0]))
		for _, action := range told.find(all[0], string(core.CreateReplica)) {
			require.Contains(t, says(action, "tend.object"), "p-web-")
			require.Equal(t, "2 replicas wanted, 0 exist", says(action, "tend.cause"))
			requests := told.below(action)
			require.Equal(t, []int{1, 1}, []int{requests["create_container"], requests["start_container"]}, "%v", requests)
			require.False(t, action.StartTime().Before(all[0].StartTime()))
			require.False(t, action.EndTime().After(all[0].EndTime()))
		}
		for _, s := range told.roots {
			require.Equal(t, "reconcile", s.Name(), "a request that no plan asked for is no trace")
		}
		w.pass(time.Hour)
		require.Empty(t, ended().roots, "nothing was done")
	})
}

func TestTheTracesOfARolloutAreLinkedToItsFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		ended := w.traced()
		w.write(served, deployment(healthy))
		w.converge()
		ended()
		w.write(served, deployment("healthy:2"))
		w.converge()
		told := ended()
		all := told.reconciles("web")
		require.Greater(t, len(all), 2)
		require.Empty(t, all[0].Links())
		for _, s := range all[1:] {
			require.Equal(t, says(all[0], "tend.revision"), says(s, "tend.revision"))
			require.Len(t, s.Links(), 1)
			require.Equal(t, all[0].SpanContext().SpanID(), s.Links()[0].SpanContext.SpanID())
		}
	})
}

func TestWhatFailedIsAnErrorOfItsSpans(t *testing.T) {
	inWorld(t, func(w *world) {
		ended := w.traced()
		w.write("web: {image: absent:1}\n")
		w.pass(time.Second)
		told := ended()
		all := told.reconciles(projectKey)
		require.NotEmpty(t, all)
		pulls := told.find(all[0], string(core.PullImage))
		require.Len(t, pulls, 1)
		require.Equal(t, codes.Error, pulls[0].Status().Code)
		require.Equal(t, codes.Error, told.find(pulls[0], "pull_image")[0].Status().Code)
	})
}
