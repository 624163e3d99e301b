// The answers of the server under the names that the page uses; `schema/openapi.d.ts` is made from the OpenAPI document.

import type { components } from '../schema/openapi';

type Schemas = components['schemas'];

export type Num = number | null;

export type Session = Schemas['SessionBody'];
export type Dashboard = Schemas['DashboardBody'];
export type Tile = Schemas['TileBody'];
export type LatencySeries = Schemas['LatencySeriesBody'];
export type LatencyName = keyof Schemas['LatenciesBody'];
export type Phases = Schemas['PhasesBody'];
export type Top = Schemas['TopBody'];
export type TopRow = Schemas['TopRowBody'];
export type Day = Schemas['DayBody'];
export type StoredRequest = Schemas['RequestBody'];
export type RequestsPage = Schemas['RequestsBody'];
export type SqlAnswer = Schemas['RowsBody'];
export type DimensionValues = Schemas['DimensionValuesBody'];
