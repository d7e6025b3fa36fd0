package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rows are the lines that a store answers, in any order.
func rows(t *testing.T, s *store) []string {
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/rows", nil))
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	return strings.Fields(answer.Body.String())
}

func post(t *testing.T, s *store, n int) {
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/rows/"+strconv.Itoa(n), nil))
	require.Equal(t, http.StatusNoContent, answer.Code, answer.Body)
}

func open(t *testing.T, dir string, perFile bool) *store {
	s, err := openStore(dir, perFile)
	require.NoError(t, err)
	return s
}

func TestRowsOutliveTheProcess(t *testing.T) {
	for _, perFile := range []bool{false, true} {
		dir := t.TempDir()
		post(t, open(t, dir, perFile), 1)
		again := open(t, dir, perFile)
		post(t, again, 2)
		require.ElementsMatch(t, []string{"1", "2"}, rows(t, again))
	}
}

func TestTwoAtOnceLoseRowsUnlessEachIsAFile(t *testing.T) {
	for _, perFile := range []bool{false, true} {
		dir := t.TempDir()
		a, b := open(t, dir, perFile), open(t, dir, perFile)
		post(t, a, 1)
		post(t, b, 2)
		if perFile {
			require.ElementsMatch(t, []string{"1", "2"}, rows(t, a))
		} else {
			require.Equal(t, []string{"2"}, rows(t, a))
		}
	}
}

func TestADamagedRecordIsSeen(t *testing.T) {
	s := open(t, t.TempDir(), false)
	post(t, s, 1)
	post(t, s, 2)
	_, err := s.file.WriteAt([]byte("9"), 5)
	require.NoError(t, err)
	require.Equal(t, []string{"damaged", "2"}, rows(t, s))
}
