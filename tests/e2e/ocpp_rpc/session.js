// One OCPP 1.6 charging session. Usage: node session.js <endpoint> <identity>
import { session } from './strict_client.js';

await session('ocpp1.6', async (call) => {
    await call('BootNotification', { chargePointVendor: 'ocpp-rpc', chargePointModel: 'strict' });
    const status = { connectorId: 1, errorCode: 'NoError' };
    await call('StatusNotification', { ...status, status: 'Available' });
    await call('Heartbeat', {});
    await call('Authorize', { idTag: 'user123' });
    const { transactionId } = await call('StartTransaction', {
        connectorId: 1,
        idTag: 'user123',
        meterStart: 1000,
        timestamp: '2023-12-07T10:15:30Z',
    });
    await call('StatusNotification', { ...status, status: 'Charging' });
    await call('MeterValues', {
        connectorId: 1,
        transactionId,
        meterValue: [
            {
                timestamp: '2023-12-07T10:30:30Z',
                sampledValue: [
                    { value: '12500', measurand: 'Energy.Active.Import.Register', unit: 'Wh', context: 'Sample.Periodic' },
                    { value: '7200', measurand: 'Power.Active.Import', unit: 'W', context: 'Sample.Periodic' },
                ],
            },
        ],
    });
    await call('StopTransaction', {
        transactionId,
        idTag: 'user123',
        meterStop: 25000,
        timestamp: '2023-12-07T11:45:30Z',
        reason: 'Local',
    });
});
