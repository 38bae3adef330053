// One OCPP 2.0.1 charging session. Usage: node session201.js <endpoint> <identity>
import { session } from './strict_client.js';

const register = (value, context) => ({
    value,
    context,
    measurand: 'Energy.Active.Import.Register',
    unitOfMeasure: { unit: 'Wh', multiplier: 0 },
});

await session('ocpp2.0.1', async (call) => {
    await call('BootNotification', {
        reason: 'PowerUp',
        chargingStation: { vendorName: 'ocpp-rpc', model: 'strict' },
    });
    const status = { timestamp: '2023-12-07T10:15:00Z', evseId: 1, connectorId: 1 };
    await call('StatusNotification', { ...status, connectorStatus: 'Available' });
    await call('Heartbeat', {});
    const idToken = { idToken: 'user123', type: 'ISO14443' };
    await call('Authorize', { idToken });
    const tell = (eventType, seqNo, timestamp, sampledValue, more) =>
        call('TransactionEvent', {
            eventType,
            timestamp,
            seqNo,
            triggerReason: 'Trigger',
            transactionInfo: { transactionId: '57da73c2-49ee-4abc-be95-cb12f783cc91' },
            meterValue: [{ timestamp, sampledValue }],
            ...more,
        });
    await tell('Started', 0, '2023-12-07T10:15:30Z', [register(1000, 'Transaction.Begin')], {
        evse: { id: 1, connectorId: 1 },
        idToken,
    });
    await call('StatusNotification', { ...status, connectorStatus: 'Occupied' });
    await tell('Updated', 1, '2023-12-07T10:30:30Z', [
        register(12500, 'Sample.Periodic'),
        { value: 7.2, measurand: 'Power.Active.Import', unitOfMeasure: { unit: 'W', multiplier: 3 } },
    ]);
    await tell('Ended', 2, '2023-12-07T11:45:30Z', [register(25000, 'Transaction.End')]);
});
