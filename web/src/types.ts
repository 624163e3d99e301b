// Names for the server's responses; `schema/openapi.d.ts` is generated from the OpenAPI document.

import type { components } from '../schema/openapi';

export type Schemas = components['schemas'];

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
export type SqlResult = Schemas['RowsBody'];
export type DimensionValues = Schemas['DimensionValuesBody'];
